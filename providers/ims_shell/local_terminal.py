"""A script on a terminal of this very machine, and who talks to it."""

from __future__ import annotations

import os
import select
import subprocess
from typing import TYPE_CHECKING

from ims_core.console import INPUT_SECONDS, takes_no_input
from ims_shell.local_process import kill
from ims_shell.patience import Clock

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LocalTerminal"]

_READ = 4096


class LocalTerminal:
    """A :class:`~ims_core.spi.ConsoleStream` over a pseudo-terminal."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start the command in a session of its own."""
        self._ours, theirs = os.openpty()
        try:
            self._process = subprocess.Popen(
                command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
            )
        except OSError:
            os.close(self._ours)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(self._ours, False)
        self._open = True

    def read(self, timeout: float) -> bytes:
        """What it wrote; empty when nothing came in time.

        Raises:
            EOFError: It has ended.
        """
        if not self._open:
            raise EOFError
        if not select.select([self._ours], [], [], timeout)[0]:
            return b""
        try:
            data = os.read(self._ours, _READ)
        except OSError:  # what a terminal says when nobody holds its other end
            raise EOFError from None
        if not data:
            raise EOFError
        return data

    def write(self, data: bytes) -> None:
        """Send bytes to it.

        Raises:
            UnavailableError: It takes none for ``INPUT_SECONDS``.
        """
        clock = Clock(INPUT_SECONDS, renewed=True)
        while data and self._open:
            select.select([], [self._ours], [], clock.left)
            try:
                data = data[os.write(self._ours, data) :]
            except BlockingIOError:
                if clock.over:
                    raise takes_no_input() from None
            except OSError:
                return  # it has ended; read says so
            else:
                clock.moved()

    def close(self) -> None:
        """End it. Idempotent."""
        if self._open:
            self._open = False
            os.close(self._ours)
            kill(self._process)
