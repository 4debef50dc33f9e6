"""A script on a terminal at the other end of a connection, and who talks to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.console import INPUT_SECONDS, takes_no_input
from ims_shell.ssh_sessions import end_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from paramiko import Channel

__all__ = ["SshTerminal"]

_READ = 4096


class SshTerminal:
    """A :class:`~ims_core.spi.ConsoleStream` over a channel."""

    def __init__(self, channel: Channel, closed: Callable[[], None]) -> None:
        """Talk over a channel in which a script was started on a terminal.

        Args:
            channel: A session; ended in the end.
            closed: Called once, when it is.
        """
        self._channel = channel
        self._closed: Callable[[], None] | None = closed

    def read(self, timeout: float) -> bytes:
        """What it wrote; empty when nothing came in time.

        Raises:
            EOFError: It has ended, or the connection was lost.
        """
        self._channel.settimeout(timeout)
        try:
            data = self._channel.recv(_READ)
        except TimeoutError:
            return b""
        if not data:
            raise EOFError
        return data

    def write(self, data: bytes) -> None:
        """Send bytes to it.

        Raises:
            UnavailableError: It takes none for ``INPUT_SECONDS``.
        """
        self._channel.settimeout(INPUT_SECONDS)
        try:
            self._channel.sendall(data)
        except TimeoutError:
            raise takes_no_input() from None
        except OSError:
            pass  # it has ended; read says so

    def close(self) -> None:
        """End it: sshd takes its terminal away. Idempotent."""
        closed, self._closed = self._closed, None
        if closed is not None:
            end_session(self._channel)
            closed()
