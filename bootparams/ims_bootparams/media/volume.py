"""An existing file system, while files are put into it: what does not depend on its format.

It is changed in place, so that all that nobody asked to change is kept by not being touched.
Everything in it may be a lie. So each format claims, when it is opened, every block that anything
refers to, and refuses what does not add up: after that, what is free is known to be free.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from heapq import heappop
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Claims", "Node", "Volume", "damaged", "no_room", "refused", "take"]

_MOST_FILES = 1 << 15  # what a hostile image may make us keep in memory; ext2 counts links so far


def refused(problem: str) -> UnsupportedError:
    """What stands in the way of changing the image."""
    return UnsupportedError(
        f"files cannot be put into this disk's image: {problem}",
        code="image-not-replaceable",
        hint="set the pool's `bootparams` to \"mount\", which lets the dom0's own kernel write it",
    )


def damaged(problem: str) -> UnsupportedError:
    """Something in the image contradicts the rest of it."""
    return refused(f"its file system is damaged, {problem}")


def no_room(wanted: str, room: str) -> InvalidError:
    """The file system is full; both are numbers with their units."""
    return InvalidError(
        f"the context is too large: {wanted}, and on this disk there is room for {room}",
        code="context-too-large",
        hint="make the template's disk larger, or let the guest fetch what is large",
    )


def take(free: list[int], count: int) -> list[int]:
    """The ``count`` lowest of a heap of free numbers, which has as many."""
    return [heappop(free) for _ in range(count)]


@dataclass(slots=True, eq=False)
class Node:
    """A file or directory, as its directory has it.

    Attributes:
        place: Its first cluster, or the number of its inode.
        keys: What it is found by; a file on FAT may have two names.
        record: Its entry in the directory, as bytes.
        is_directory: Whether it is one.
        head: The entries at a directory's beginning which are not about its children.
        children: What is in a directory, by each key.
    """

    place: int
    keys: tuple[bytes, ...] = ()
    record: bytes = b""
    is_directory: bool = False
    head: tuple[bytes, ...] = ()
    children: dict[bytes, Node] = field(default_factory=dict)

    def records(self) -> Iterator[bytes]:
        """All entries of a directory, in their order."""
        yield from self.head
        for child in dict.fromkeys(self.children.values()):
            yield child.record


class Claims:
    """Which blocks of a file system are in use, each by one thing only."""

    def __init__(self, first: int, end: int) -> None:
        """Blocks from ``first`` up to, but not with, ``end``."""
        self._first = first
        self._taken = bytearray(end)

    def claim(self, block: int) -> None:
        """Something refers to this block.

        Raises:
            UnsupportedError: There is no such block, or something else refers to it too.
        """
        if not self._first <= block < len(self._taken):
            raise damaged(f"block {block} is none of its blocks")
        if self._taken[block]:
            raise damaged(f"two things are in block {block}")
        self._taken[block] = 1

    def free(self) -> list[int]:
        """All others, sorted."""
        return [block for block in range(self._first, len(self._taken)) if not self._taken[block]]


class Volume(ABC):
    """An opened file system.

    Attributes:
        root: Its root directory.
    """

    root: Node

    def __init__(self) -> None:
        """With nothing changed yet."""
        self._changed: dict[Node, None] = {}
        self._files = 0

    @abstractmethod
    def key(self, name: str) -> bytes:
        """What a file of that name is found by."""

    @abstractmethod
    def content(self, node: Node) -> bytes:
        """What is in a file, without its holes."""

    @abstractmethod
    def add_file(self, directory: Node, name: str, content: bytes) -> None:
        """Put a file into a directory that has none of that name.

        Raises:
            InvalidError: There is no room.
        """

    @abstractmethod
    def add_directory(self, parent: Node, name: str) -> Node:
        """Make a directory, for files that are put into it before :meth:`saved`.

        Raises:
            InvalidError: There is no room.
        """

    def remove(self, directory: Node, node: Node) -> None:
        """Take a file, or an empty directory, out of its directory."""
        for key in node.keys:
            directory.children.pop(key, None)
        self._changed.pop(node, None)
        self._changed[directory] = None
        self._release(directory, node)

    def saved(self) -> bytes:
        """The whole image.

        Raises:
            InvalidError: There is no room for the directories.
        """
        for directory in self._changed:
            self._write_directory(directory)
        return self._finished()

    def _found(self, directory: Node, node: Node) -> None:
        """Take note of what the image has.

        Raises:
            UnsupportedError: There is another of that name, or there are too many.
        """
        self._files += 1
        if self._files > _MOST_FILES:
            raise refused(f"it has more than {_MOST_FILES} files")
        for key in node.keys:
            if directory.children.setdefault(key, node) is not node:
                raise damaged(f"two files have the name {key!r}")

    def _added(self, directory: Node, node: Node) -> Node:
        """Take note of what is new.

        Raises:
            InvalidError: There are too many.
        """
        self._files += 1
        if self._files > _MOST_FILES:
            raise no_room(f"there would be {self._files} files", f"{_MOST_FILES}")
        directory.children |= dict.fromkeys(node.keys, node)
        self._changed[directory] = None
        return node

    @abstractmethod
    def _release(self, directory: Node, node: Node) -> None:
        """Free what a node takes that is in no directory any more."""

    @abstractmethod
    def _write_directory(self, directory: Node) -> None:
        """Write what a directory has now."""

    @abstractmethod
    def _finished(self) -> bytes:
        """The image, once everything is in it."""
