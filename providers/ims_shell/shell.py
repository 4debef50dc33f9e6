"""A POSIX shell on the hypervisor's machine, here or at the other end of an SSH connection.

What is run is always one fixed script with arguments. The arguments are data: they reach the script
as ``$1``, ``$2``, … and are never part of its text. Secrets go by standard input, because anybody
there can see the arguments of a process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from ims_core.spi import ConsoleStream, Progress

__all__ = ["Answer", "Shell"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a script ended with."""

    status: int
    """Its exit status; 128 and the signal, if one ended it."""
    output: bytes
    errors: str
    """The end of what it wrote to standard error, without control characters."""


class Shell(Protocol):
    """Runs scripts; safe to be used from several threads at once."""

    @property
    def endpoint(self) -> str:
        """Where the scripts run, for people."""

    def run(
        self,
        script: str,
        *arguments: str,
        stdin: bytes = b"",
        timeout: float,
    ) -> Answer:
        """Run a script to its end, whatever its exit status.

        Args:
            script: POSIX sh.
            arguments: Its ``$1``, ``$2``, ….
            stdin: What it reads.
            timeout: Seconds after which it is given up.

        Raises:
            UnavailableError: It did not end in time, or the connection was lost: what it did is
                not known.
            AccessDeniedError: The machine does not let us in.
            HypervisorError: ``output-too-large``: it wrote more than 64 MiB.
        """

    def send(
        self,
        script: str,
        *arguments: str,
        source: BinaryIO,
        size: int,
        progress: Progress,
        idle: float,
    ) -> Answer:
        """Run a script that reads a file of ``size`` bytes; raises as :meth:`run`.

        Args:
            script: POSIX sh.
            arguments: Its ``$1``, ``$2``, ….
            source: What it reads, from where it stands.
            size: Bytes of it.
            progress: Told after each piece that was sent.
            idle: Seconds without any progress after which it is given up.
        """

    def attach(self, script: str, *arguments: str, timeout: float) -> ConsoleStream:
        """Start a script on a terminal of its own, for somebody to talk to.

        Its output and errors come as one, and closing the stream ends it.

        Args:
            script: POSIX sh.
            arguments: Its ``$1``, ``$2``, ….
            timeout: Seconds until it must have been started.

        Raises:
            UnavailableError: It was not started: ``no-terminal`` if it may have none.
            AccessDeniedError: The machine does not let us in.
        """

    def close(self) -> None:
        """Give the connection back. Idempotent; never raises."""
