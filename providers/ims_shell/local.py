"""A shell on this very machine, for an IMS that runs beside the hypervisor."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
from typing import TYPE_CHECKING, BinaryIO

from ims_shell.gathered import Gathered
from ims_shell.local_process import kill
from ims_shell.local_terminal import LocalTerminal
from ims_shell.patience import Clock, no_answer
from ims_shell.stdin import pieces, pieces_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ims_core.spi import ConsoleStream, Progress
    from ims_shell.shell import Answer

__all__ = ["LocalShell"]

_READ = 64 * 2**10
_SIGNALLED = 128


class LocalShell:
    """Runs each script in a session of its own, and ends all of it when its time is over."""

    @property
    def endpoint(self) -> str:
        """This machine's name."""
        return socket.gethostname()

    def run(self, script: str, *arguments: str, stdin: bytes = b"", timeout: float) -> Answer:
        """Run a script to its end; see :class:`~ims_shell.shell.Shell`."""
        return self._call(script, arguments, pieces(stdin), Clock(timeout))

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
        clock = Clock(idle, renewed=True)
        return self._call(script, arguments, pieces_of(source, size, progress), clock)

    def attach(
        self,
        script: str,
        *arguments: str,
        timeout: float,  # noqa: ARG002 - here it is started at once
    ) -> ConsoleStream:
        """Start a script on a terminal; see :class:`~ims_shell.shell.Shell`."""
        return LocalTerminal(_command(script, arguments))

    def close(self) -> None:
        """Nothing is held between calls."""

    def _call(
        self, script: str, arguments: tuple[str, ...], stdin: Iterator[bytes], clock: Clock
    ) -> Answer:
        process = subprocess.Popen(
            _command(script, arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        gathered = Gathered()
        try:
            if not _exchange(process, stdin, gathered, clock):
                gathered.refuse_too_much(self.endpoint)
                raise no_answer(self.endpoint)
            status = process.wait(clock.left)
        except subprocess.TimeoutExpired:
            raise no_answer(self.endpoint) from None
        finally:
            _end(process)
        return gathered.answer(status if status >= 0 else _SIGNALLED - status)


def _command(script: str, arguments: tuple[str, ...]) -> list[str]:
    return ["sh", "-c", script, "ims", *arguments]


def _exchange(
    process: subprocess.Popen[bytes], stdin: Iterator[bytes], gathered: Gathered, clock: Clock
) -> bool:
    """Write and read until nothing can be read any more; False if that takes too long."""
    assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - all are pipes
    takers: dict[int, Callable[[bytes], None]] = {
        process.stdout.fileno(): gathered.take_output,
        process.stderr.fileno(): gathered.take_errors,
    }
    rest = memoryview(b"")
    with selectors.DefaultSelector() as selector:
        for number in takers:
            selector.register(number, selectors.EVENT_READ)
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        while takers:
            for key, _events in selector.select(clock.left):
                if key.fd not in takers:
                    rest = rest or memoryview(next(stdin, b""))
                    sent = _write(key.fd, rest)
                    rest = rest[sent:]
                    if not sent:
                        selector.unregister(key.fileobj)
                        process.stdin.close()
                elif data := os.read(key.fd, _READ):
                    takers[key.fd](data)
                else:
                    selector.unregister(key.fd)
                    del takers[key.fd]
                    continue
                clock.moved()
            if clock.over or gathered.too_much:
                return False
    return True


def _write(number: int, data: memoryview) -> int:
    """Bytes that were written; none if there is nothing to write, or nobody to read it."""
    try:
        return os.write(number, data) if data else 0
    except BrokenPipeError:
        return 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a script that did not end, and close our ends."""
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    kill(process)
