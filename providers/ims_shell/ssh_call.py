"""One script at the other end of a connection, from its start to its exit status."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from paramiko import ChannelException, SSHException

from ims_core.errors import UnavailableError
from ims_shell.gathered import Gathered
from ims_shell.patience import no_answer, not_started, watched
from ims_shell.ssh_sessions import end_session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paramiko import Channel

    from ims_shell.patience import Clock
    from ims_shell.shell import Answer
    from ims_shell.ssh_connection import Connection

__all__ = ["Call", "NotStartedError", "RefusedError"]

_READ = 64 * 2**10
_TERMINAL = "vt100"
_GONE = (SSHException, EOFError, OSError)


class RefusedError(Exception):
    """The server opens no more sessions on this connection for now; nothing was started."""


class NotStartedError(Exception):
    """The connection turned out to be lost before anything was started."""


class _Bell(threading.Event):
    """Rung by paramiko's two buffers; only who answers it may silence it."""

    def clear(self) -> None:
        """Not when one buffer is empty: the other may not be."""

    def silence(self) -> None:
        super().clear()


class Call:
    """Runs a command in a channel of its own."""

    def __init__(self, connection: Connection, endpoint: str, clock: Clock) -> None:
        """Nothing is sent yet."""
        self._connection = connection
        self._endpoint = endpoint
        self._clock = clock
        self._gathered = Gathered()
        self._bell = _Bell()
        self._given_up = False

    def run(self, command: str, stdin: Iterable[bytes]) -> Answer:
        """Run it to its end.

        Raises:
            RefusedError: Nothing was started; later it may work.
            NotStartedError: Nothing was started; on another connection it may work.
            UnavailableError: ``no-answer`` or ``connection-lost``.
            HypervisorError: It wrote too much.
        """
        with watched(self._clock, self._connection.cut):
            channel = self._open()
            reader = threading.Thread(
                target=self._read, args=(channel,), name="ims-ssh-reader", daemon=True
            )
            try:
                channel.exec_command(command)
                reader.start()
                self._write(channel, stdin)
                return self._end(channel, reader)
            except _GONE as error:
                raise self._lost() from error
            finally:
                self._leave(channel, reader)

    def on_terminal(self, command: str) -> Channel:
        """Start it on a terminal, and leave it to the caller; raises as :meth:`run`.

        Raises:
            UnavailableError: ``no-terminal``.
        """
        with watched(self._clock, self._connection.cut):
            channel = self._open()
            try:
                channel.get_pty(_TERMINAL)
                channel.exec_command(command)
            except _GONE as error:
                end_session(channel)
                if self._connection.alive:
                    raise UnavailableError(
                        f"{self._endpoint} gives no terminal",
                        code="no-terminal",
                        hint="sshd's PermitTTY and authorized_keys' no-pty refuse one",
                    ) from error
                raise self._lost() from error
            return channel

    def _open(self) -> Channel:
        try:
            channel = self._connection.transport.session(self._clock.left)
        except _GONE as error:
            if self._clock.over:
                raise not_started(self._endpoint) from error
            # Of several refusals at once, paramiko tells only one thread what it was.
            if isinstance(error, ChannelException) or self._connection.alive:
                raise RefusedError from error
            raise NotStartedError from error
        channel.in_buffer.set_event(self._bell)
        channel.in_stderr_buffer.set_event(self._bell)
        return channel

    def _write(self, channel: Channel, stdin: Iterable[bytes]) -> None:
        for piece in stdin:
            rest = memoryview(piece)
            while rest:
                if self._gathered.too_much:
                    return
                channel.settimeout(self._clock.left)
                try:
                    sent = channel.send(bytes(rest))
                except TimeoutError:
                    raise no_answer(self._endpoint) from None
                except OSError:
                    return  # it ended without reading all of it; its status says whether it could
                if not sent:
                    return
                rest = rest[sent:]
                self._clock.moved()
        channel.shutdown_write()

    def _read(self, channel: Channel) -> None:
        ended = False
        while not ended and not self._given_up:
            self._bell.wait()
            self._bell.silence()
            ended = bool(
                channel.eof_received or channel.closed
            )  # asked first: data comes before it
            try:
                self._take(channel)
            except _GONE:
                return  # found out by the caller, too

    def _take(self, channel: Channel) -> None:
        while channel.recv_ready():
            self._gathered.take_output(channel.recv(_READ))
            self._clock.moved()
            if self._gathered.too_much:
                self._given_up = True
                return
        while channel.recv_stderr_ready():
            self._gathered.take_errors(channel.recv_stderr(_READ))
            self._clock.moved()

    def _end(self, channel: Channel, reader: threading.Thread) -> Answer:
        while reader.is_alive() and not self._clock.over:
            reader.join(self._clock.left)
        self._gathered.refuse_too_much(self._endpoint)
        if reader.is_alive() or not channel.status_event.wait(self._clock.left):
            raise no_answer(self._endpoint)
        if channel.exit_status < 0:
            raise self._lost()
        return self._gathered.answer(channel.exit_status)

    def _leave(self, channel: Channel, reader: threading.Thread) -> None:
        self._given_up = True
        self._bell.set()
        if reader.ident is not None:
            reader.join()
        end_session(channel)

    def _lost(self) -> UnavailableError:
        if self._clock.over:
            return no_answer(self._endpoint)
        return UnavailableError(
            f"{self._endpoint}: the connection was lost; what the script did is not known",
            code="connection-lost",
            hint="is that machine up, and its network?",
        )
