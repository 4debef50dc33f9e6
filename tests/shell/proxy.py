"""A TCP proxy that a test holds in its hands: it counts, cuts, stalls and slows down."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from types import TracebackType

Direction = Literal["to-server", "to-client"]
_PIECE = 64 * 2**10


class Proxy:
    """Passes connections to a port of this machine on, as long as the test lets it."""

    def __init__(self, port: int) -> None:
        """Listen on a free port of 127.0.0.1."""
        self.connections = 0
        """How many were accepted so far."""
        self._target = port
        self._listener = socket.socket()
        # A stalled line shall be full soon.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._lines: list[_Line] = []
        self._cut_after: dict[Direction, int] = {}
        self._seconds_per_byte = 0.0
        self._flows = threading.Event()
        self._flows.set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def cut(self) -> None:
        """Cut all connections that there are; new ones are accepted."""
        with self._lock:
            lines, self._lines = self._lines, []
        for line in lines:
            line.close()

    def cut_after(self, size: int, direction: Direction) -> None:
        """Cut all connections after so many more bytes that way, once."""
        with self._lock:
            self._cut_after[direction] = size

    def stall(self) -> None:
        """Keep connections open, and pass nothing on any more."""
        self._flows.clear()

    def slow_down(self, bytes_per_second: int) -> None:
        """Pass no more than this on to the server, on each connection."""
        self._seconds_per_byte = 1 / bytes_per_second

    def flow(self) -> None:
        """Pass on again what was held back."""
        self._flows.set()

    def close(self) -> None:
        """End it with all its connections and threads."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # close() alone would not wake accept()
        self._listener.close()
        self.cut()
        self._flows.set()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        line = _Line(client, server)
        with self._lock:
            self._lines.append(line)
        ways: tuple[tuple[socket.socket, socket.socket, Direction], ...] = (
            (client, server, "to-server"),
            (server, client, "to-client"),
        )
        for source, target, direction in ways:
            thread = threading.Thread(target=self._pump, args=(line, source, target, direction))
            self._threads.append(thread)
            thread.start()

    def _pump(
        self, line: _Line, source: socket.socket, target: socket.socket, direction: Direction
    ) -> None:
        with suppress(OSError):
            while data := source.recv(_PIECE):
                self._flows.wait()
                if direction == "to-server":
                    time.sleep(len(data) * self._seconds_per_byte)
                allowed = self._allowed(len(data), direction)
                target.sendall(data[:allowed])
                if allowed < len(data):
                    self.cut()
        line.close()

    def _allowed(self, size: int, direction: Direction) -> int:
        with self._lock:
            left = self._cut_after.get(direction)
            if left is None:
                return size
            if size > left:
                del self._cut_after[direction]
                return left
            self._cut_after[direction] = left - size
            return size


@dataclass(slots=True)
class _Line:
    """Both ends of one connection."""

    client: socket.socket
    server: socket.socket
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        with self.lock:
            for end in (self.client, self.server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)  # wakes who reads from it
                end.close()
