"""A xenstored on a socket of the test's own, judged by Xen's documents alone.

The messages are those of xen/include/public/io/xs_wire.h, the rules for paths, transactions and
errors those of docs/misc/xenstore.txt. Only what a writer needs is there.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

LINK_SECONDS = 10.0
"""Until a link whose client has ended is known to be closed."""

_HEADER = struct.Struct("=4I")  # type, req_id, tx_id, len
_PAYLOAD_MAX = 4096
_PATH_MAX = 3072
_PATH = re.compile(r"(?:/[A-Za-z0-9_@-]+)+")
_READ, _START, _END, _WRITE, _RM, _ERROR = 2, 6, 7, 11, 13, 16
_VM = re.compile(r"/local/domain/([0-9]+)/vm")


class RefusedError(Exception):
    """The name of an errno, as XS_ERROR carries it."""


@dataclass
class Xenstored:
    """The tree, and what the test wants to go wrong.

    Attributes:
        tree: Values by path.
        domains: Where the pretended xl keeps its domains, of which xenstore knows the UUIDs.
        conflicts: How many transactions are still to end with EAGAIN, as if others had written.
        refuse: Errors by the number of the write that they answer, from 1.
        open: Transactions that were begun and not ended.
        commits: Called after each one, before its answer.
        most: The longest message, with its header.
    """

    path: Path
    tree: dict[str, str] = field(default_factory=dict)
    domains: Path | None = None
    conflicts: int = 0
    refuse: dict[int, str] = field(default_factory=dict)
    open: dict[int, dict[str, str]] = field(default_factory=dict)
    commits: list[Callable[[], object]] = field(default_factory=list)
    piecemeal: bool = False
    requests: int = 0
    writes: int = 0

    def __enter__(self) -> Self:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._links: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def below(self, path: str) -> dict[str, str]:
        """What stands below a path, by what follows it."""
        begin = f"{path}/"
        found = {key: value for key, value in self.tree.items() if key.startswith(begin)}
        return {key.removeprefix(begin): value for key, value in found.items()}

    def left_open(self) -> set[int]:
        """Transactions that outlived the clients, all of which must have ended."""
        for link in self._links:
            link.join(LINK_SECONDS)
            assert not link.is_alive(), "a client is still connected"
        return set(self.open)

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(link,), daemon=True)
            self._links.append(thread)
            thread.start()

    def _serve(self, link: socket.socket) -> None:
        begun: set[int] = set()
        with link, suppress(ConnectionError), link.makefile("rb") as lines:
            while header := lines.read(_HEADER.size):
                kind, request, transaction, length = _HEADER.unpack(header)
                if length > _PAYLOAD_MAX:  # xenstored hangs up
                    break
                payload = lines.read(length)
                self.requests += 1
                try:
                    answer = self._answer(kind, transaction, payload, begun)
                except RefusedError as error:
                    kind, answer = _ERROR, f"{error}\0".encode()
                self._send(link, _HEADER.pack(kind, request, transaction, len(answer)) + answer)
        for number in begun:  # what was not ended is as if it had never been begun
            self.open.pop(number, None)

    def _send(self, link: socket.socket, data: bytes) -> None:
        if not self.piecemeal:
            link.sendall(data)
            return
        for place in range(len(data)):
            link.sendall(data[place : place + 1])

    def _answer(self, kind: int, transaction: int, payload: bytes, begun: set[int]) -> bytes:
        if kind == _START:
            number = self.requests + 1
            begun.add(number)
            self.open[number] = dict(self.tree)
            return f"{number}\0".encode()
        if transaction and transaction not in begun:
            raise RefusedError("ENOENT")
        tree = self.open[transaction] if transaction else self.tree
        if kind == _END:
            begun.discard(transaction)
            self._end(self.open.pop(transaction), payload)
        elif kind == _READ:
            return self._read(tree, _checked(payload.removesuffix(b"\0"))).encode()
        elif kind == _WRITE:
            self._write(tree, payload)
        elif kind == _RM:
            self._remove(tree, payload)
        else:
            raise RefusedError("ENOSYS")
        return b"OK\0"

    def _end(self, tree: dict[str, str], payload: bytes) -> None:
        if payload == b"F\0":
            return
        if payload != b"T\0":
            raise RefusedError("EINVAL")
        if self.conflicts:
            self.conflicts -= 1
            raise RefusedError("EAGAIN")
        self.tree = tree
        for told in self.commits:
            told()

    def _read(self, tree: dict[str, str], path: str) -> str:
        if self.domains and (match := _VM.fullmatch(path)):
            return f"/vm/{(self.domains / match[1] / 'uuid').read_text().strip()}"
        if path not in tree:
            raise RefusedError("ENOENT")
        return tree[path]

    def _write(self, tree: dict[str, str], payload: bytes) -> None:
        self.writes += 1
        if error := self.refuse.get(self.writes):
            raise RefusedError(error)
        path, separator, value = payload.partition(b"\0")
        if not separator:
            raise RefusedError("EINVAL")
        tree[_checked(path)] = value.decode()

    def _remove(self, tree: dict[str, str], payload: bytes) -> None:
        if not payload.endswith(b"\0"):
            raise RefusedError("EINVAL")
        path = _checked(payload[:-1])
        parent = path.rpartition("/")[0]
        gone = [key for key in tree if key == path or key.startswith(f"{path}/")]
        if not gone:
            # Where the parent is there, rm of what is not there succeeds (xenstore.txt, RM).
            if any(key.startswith(f"{parent}/") for key in tree):
                return
            raise RefusedError("ENOENT")
        for key in gone:
            del tree[key]


def _checked(path: bytes) -> str:
    text = path.decode("ascii", errors="replace")
    if not _PATH.fullmatch(text) or len(text) > _PATH_MAX:
        raise RefusedError("EINVAL")
    return text
