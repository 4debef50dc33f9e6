"""paramiko's transport, which tells of the packets that come, and sessions that end in order.

Of a session, CLOSE is the last word.

paramiko answers a server's CLOSE in the thread that reads, while another thread may be about to
send data or EOF on that channel, which then come after the answer (paramiko#1115, #1705). RFC 4254,
section 5.3 allows nothing there, and OpenSSH ends the whole connection for it, with all that runs
on it. So here the answer waits until the user of a session is done with it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from paramiko import SSHException, Transport
from paramiko.packet import Packetizer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from paramiko import Channel, Message

__all__ = ["SessionTransport", "end_session"]

_CLOSE = b"\x61"
"""SSH_MSG_CHANNEL_CLOSE; the number of the channel at the other end follows (RFC 4254, 5.3)."""


class _Ear(Packetizer):
    """Reads packets, and tells that one came."""

    heard: Callable[[], None] | None = None

    def read_message(self) -> tuple[int, Message]:
        message = super().read_message()
        if self.heard is not None:
            self.heard()
        return message


class SessionTransport(Transport):
    """A transport whose :meth:`session` is ended by :func:`end_session`, and by nothing else."""

    def __init__(self, line: socket.socket | Channel) -> None:
        """Talk over a line."""
        self._order = threading.Lock()
        self._answers: dict[bytes, Message | None] = {}
        """Of each session that is in use, by the bytes of its CLOSE, the answer that waits."""
        super().__init__(line, packetizer_class=_Ear)

    def tell_of_packets(self, heard: Callable[[], None]) -> None:
        """Call this, and nothing else any more, when a packet came, of whatever kind."""
        cast("_Ear", self.packetizer).heard = heard

    def session(self, timeout: float) -> Channel:
        """Open one; raises as ``open_session``."""
        channel = self.open_session(timeout=timeout)
        with self._order:
            self._answers[_close_of(channel)] = None
        return channel

    def answer(self, channel: Channel) -> None:
        """Send what waits for the end of this session, and let nothing wait any more."""
        with self._order:
            waiting = self._answers.pop(_close_of(channel), None)
        if waiting is not None:
            super()._send_user_message(waiting)  # type: ignore[misc]  # not in its stubs

    def _send_user_message(self, data: Message) -> None:
        if threading.current_thread() is self:  # it only answers
            answer = data.asbytes()
            with self._order:
                if answer in self._answers:
                    self._answers[answer] = data
                    return
        super()._send_user_message(data)  # type: ignore[misc]


def end_session(channel: Channel) -> None:
    """Close a session on which no thread will send any more. Idempotent; a lost one is closed."""
    transport = cast("SessionTransport", channel.get_transport())
    with suppress(SSHException, EOFError, OSError):
        try:
            channel.close()
        finally:
            transport.answer(channel)


def _close_of(channel: Channel) -> bytes:
    return _CLOSE + channel.remote_chanid.to_bytes(4, "big")
