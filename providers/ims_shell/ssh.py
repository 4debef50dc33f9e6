"""A shell at the other end of an SSH connection.

One connection serves all threads, each call in a channel of its own. What connects, and whom it
trusts, is decided as OpenSSH does: ssh_config, known_hosts, keys and the agent. Host keys are
always verified, and nobody is ever asked anything.

The login shell there may be any that reads single quotes; see :mod:`ims_shell.quoting`. When a call
is given up, its script may run on there: sshd ends only what it has a terminal for.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from ims_core.errors import UnavailableError
from ims_shell.patience import Clock, not_started
from ims_shell.quoting import command_line
from ims_shell.ssh_call import Call, NotStartedError, RefusedError
from ims_shell.ssh_config import look_up
from ims_shell.ssh_connection import connect
from ims_shell.ssh_terminal import SshTerminal
from ims_shell.stdin import pieces, pieces_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ims_core.spi import ConsoleStream, Progress
    from ims_shell.shell import Answer
    from ims_shell.ssh_config import Host
    from ims_shell.ssh_connection import Connection

__all__ = ["SshShell", "SshTarget", "open_ssh"]

SESSIONS = 8
"""Channels at once; sshd's own bound, MaxSessions, is 10 by default."""

T = TypeVar("T")

_MOMENT = 0.2
_TRIES = 5


@dataclass(frozen=True, slots=True)
class SshTarget:
    """Where to connect. What is left empty comes from ssh_config; what is given wins over it."""

    host: str
    """An alias in ssh_config, a host name, or an address."""
    user: str = ""
    port: int = 0
    identity_file: str = ""
    """The only key to offer: of the files, and of the agent."""
    known_hosts: str = ""
    """Instead of the user's; the machine's, in /etc/ssh, counts as well."""
    host_key: str = ""
    """The only fingerprint that the host may have (``SHA256:…``), instead of known_hosts."""
    ssh_config: str = ""
    """A file; empty for the user's and then the machine's; ``none``."""
    connect_timeout: float = 15.0
    """Seconds, for the whole way there."""


def open_ssh(target: SshTarget) -> SshShell:
    """Connect, and log in.

    Raises:
        UnavailableError: The host cannot be reached, or does not answer in time.
        AccessDeniedError: ``host-key-unknown``, ``host-key-changed``, ``host-key-revoked``,
            ``ssh-key-refused`` or ``ssh-key-encrypted``.
        ConfigError: ssh_config, or the target, cannot be obeyed.
    """
    return SshShell(target)


class SshShell:
    """The shell; made by :func:`open_ssh`."""

    def __init__(self, target: SshTarget) -> None:
        """Connect; raises as :func:`open_ssh`."""
        self.connections = 0
        """How many were ever made."""
        self._target = target
        self._host = _host(target)
        self._lock = threading.Lock()
        self._sessions = _Sessions()
        self._closed = False
        self._connection: Connection | None = None
        self._live(Clock(target.connect_timeout))

    @property
    def endpoint(self) -> str:
        """Where the scripts run, for people."""
        return f"{self._host.user}@{self._host.name}"

    def run(self, script: str, *arguments: str, stdin: bytes = b"", timeout: float) -> Answer:
        """Run a script to its end; see :class:`~ims_shell.shell.Shell`."""
        command = command_line(script, *arguments)
        return self._call(command, lambda: pieces(stdin), Clock(timeout))

    def send(
        self,
        script: str,
        *arguments: str,
        source: BinaryIO,
        size: int,
        progress: Progress,
        idle: float,
    ) -> Answer:
        """Run a script that reads a file; see :class:`~ims_shell.shell.Shell`.

        Raises:
            InvalidError: ``file-too-short``.
        """
        command = command_line(script, *arguments)
        clock = Clock(idle, renewed=True)
        return self._call(command, lambda: pieces_of(source, size, progress), clock)

    def attach(self, script: str, *arguments: str, timeout: float) -> ConsoleStream:
        """Start a script on a terminal; see :class:`~ims_shell.shell.Shell`."""
        command, clock = command_line(script, *arguments), Clock(timeout)
        with ExitStack() as held:
            held.enter_context(self._sessions.one(clock, self.endpoint))
            channel = self._on_connection(
                lambda connection: Call(connection, self.endpoint, clock).on_terminal(command),
                clock,
            )
            return SshTerminal(channel, held.pop_all().close)

    def close(self) -> None:
        """End the connection and its threads. Calls that are under way lose it."""
        self._closed = True
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _call(self, command: str, stdin: Callable[[], Iterable[bytes]], clock: Clock) -> Answer:
        with self._sessions.one(clock, self.endpoint):
            return self._on_connection(
                lambda connection: Call(connection, self.endpoint, clock).run(command, stdin()),
                clock,
            )

    def _on_connection(self, start: Callable[[Connection], T], clock: Clock) -> T:
        again, alone = True, 0
        while True:
            connection = self._live(clock)
            try:
                return start(connection)
            except RefusedError as error:
                alone = 0 if self._sessions.wait_for_another(clock) else alone + 1
                if clock.over:
                    raise not_started(self.endpoint) from error.__cause__
                if alone == _TRIES:
                    raise UnavailableError(
                        f"{self.endpoint} opens no session",
                        code="no-session",
                        hint="sshd's MaxSessions must not be 0",
                    ) from error.__cause__
            except NotStartedError as error:
                if not again:
                    raise self._lost() from error.__cause__
                again = False

    def _live(self, clock: Clock) -> Connection:
        """The connection; a new one if it was lost."""
        if not self._lock.acquire(timeout=clock.left):
            raise not_started(self.endpoint)
        try:
            if self._closed:
                raise self._lost()
            if self._connection is None or not self._connection.alive:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                seconds = min(self._target.connect_timeout, clock.left)
                self._connection = connect(
                    self._host,
                    config=self._target.ssh_config,
                    pinned=self._target.host_key,
                    deadline=time.monotonic() + seconds,
                )
                self.connections += 1
                self._connection.watch()
            return self._connection
        finally:
            self._lock.release()

    def _lost(self) -> UnavailableError:
        return UnavailableError(
            f"{self.endpoint}: the connection was lost, and nothing was done",
            code="connection-lost",
            hint="is that machine up, and its network?",
        )


def _host(target: SshTarget) -> Host:
    host = look_up(target.host, config=target.ssh_config, user=target.user, port=target.port)
    if target.identity_file:
        file = Path(target.identity_file).expanduser()
        host = replace(host, identity_files=(file,), identities_only=True)
    if target.known_hosts:
        file = Path(target.known_hosts).expanduser()
        host = replace(host, known_hosts=(file, host.known_hosts[-1]))
    return host


class _Sessions:
    """Counts the calls that are under way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0

    @contextmanager
    def one(self, clock: Clock, endpoint: str) -> Iterator[None]:
        """Be one of them, as soon as there is room."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._running < SESSIONS, clock.left):
                raise not_started(endpoint)
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def wait_for_another(self, clock: Clock) -> bool:
        """Wait until another call has ended, or a moment if there is none.

        The server may take that long to notice that one has ended.
        """
        with self._changed:
            before = self._running
            seconds = clock.left if before > 1 else min(_MOMENT, clock.left)
            return self._changed.wait_for(lambda: self._running < before, seconds)
