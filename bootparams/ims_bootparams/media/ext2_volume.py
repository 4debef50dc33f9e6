"""ext2 file systems that somebody else made, changed in place; ext3 ones whose journal is clean."""

from __future__ import annotations

import struct
from collections import Counter
from heapq import heappush
from itertools import islice
from stat import S_ISDIR
from typing import TYPE_CHECKING

from ims_bootparams.media.ext2_image import Ext2Image
from ims_bootparams.media.ext2_records import (
    DIRECTORY,
    FILE,
    ROOT,
    block_pointers,
    directory_content,
    directory_entry,
    inode_record,
    read_directory,
)
from ims_bootparams.media.tree import epoch
from ims_bootparams.media.volume import Node, Volume, damaged, no_room, take

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from ims_bootparams.media.ext2_records import Entry

__all__ = ["Ext2Volume"]


class Ext2Volume(Volume):
    """An opened ext2 file system."""

    def __init__(self, image: bytes) -> None:
        """Read all directories, and account for every block and inode.

        Raises:
            UnsupportedError: It is not clean, damaged, or something unknown.
        """
        super().__init__()
        self._image = Ext2Image(image)
        self._shape = self._image.shape
        self._image.check()
        self.root = Node(place=ROOT, is_directory=True)
        self._free_blocks, self._free_inodes = self._image.free_blocks(), self._image.free_inodes()
        self._directories: set[int] = set()
        self._read_tree()
        self._date = epoch()

    def key(self, name: str) -> bytes:
        """The name as it is."""
        return name.encode()

    # --- reading ---

    def _read_tree(self) -> None:
        """Read all directories."""
        used, links = set(self._image.inodes).difference(self._free_inodes), Counter[int]()
        found = [(self.root, self.root)]
        while found:
            directory, parent = found.pop()
            if directory.place in self._directories:
                raise damaged("a directory is in two places")
            self._directories.add(directory.place)
            links.update((directory.place, parent.place))
            for entry in self._entries(directory, parent):
                if entry.inode not in used:
                    raise damaged(f"inode {entry.inode} is in a directory, and not in use")
                links[entry.inode] += 1
                is_directory = S_ISDIR(self._image.inode(entry.inode).mode)
                child = Node(entry.inode, (entry.name,), entry.record, is_directory)
                self._found(directory, child)
                if is_directory:
                    found.append((child, directory))
        self._check_links(used, links)

    def _entries(self, directory: Node, parent: Node) -> Iterator[Entry]:
        """A directory's entries, but for its head: those for itself and its parent."""
        inode = self._image.inode(directory.place)
        blocks = [block for block, is_data in self._image.blocks(inode) if is_data]
        content = b"".join(self._image.bytes[self._image.place(block)] for block in blocks)
        if not S_ISDIR(inode.mode) or len(content) != inode.size:
            raise damaged(f"inode {directory.place} is not a whole directory")
        entries = read_directory(content, self._shape.block)
        head = [*islice(entries, 2)]
        expected = [(directory.place, b"."), (parent.place, b"..")]
        if [(each.inode, each.name) for each in head] != expected:
            raise damaged("a directory is not where its parent says")
        directory.head = tuple(each.record for each in head)
        return entries

    def _check_links(self, used: Collection[int], links: Counter[int]) -> None:
        """Inodes are in as many directories as they say, reserved ones in none."""
        for number in self._image.inodes:
            is_reserved = number < self._shape.first_inode
            if is_reserved and number not in used:
                raise damaged(f"the reserved inode {number} is called free")
            expected = 0
            if number in used and (number == ROOT or not is_reserved):
                expected = max(self._image.inode(number).links, 1)
            if links[number] != expected:
                raise damaged(f"inode {number} is in {links[number]} directories")

    def content(self, node: Node) -> bytes:
        """As long as its inode says."""
        inode = self._image.inode(node.place)
        blocks = [block for block, is_data in self._image.blocks(inode) if is_data]
        return b"".join(self._image.bytes[self._image.place(each)] for each in blocks)[: inode.size]

    # --- changing ---

    def add_file(self, directory: Node, name: str, content: bytes) -> None:
        """For root alone, as on media of IMS' own."""
        pointers, blocks = self._store(repr(name), content)
        node = self._add(directory, name, FILE)
        self._image.set_blocks(node.place, len(content), pointers, blocks)

    def add_directory(self, parent: Node, name: str) -> Node:
        """For root alone, as on media of IMS' own."""
        node = self._add(parent, name, DIRECTORY)
        node.head = (self._entry(node.place, "."), self._entry(parent.place, ".."))
        self._image.set_links(node.place, 2)
        self._image.set_links(parent.place, self._image.inode(parent.place).links + 1)
        self._directories.add(node.place)
        return node

    def _entry(self, number: int, name: str, mode: int = DIRECTORY) -> bytes:
        return directory_entry(number, name, mode, typed=self._shape.has_file_types)

    def _add(self, directory: Node, name: str, mode: int) -> Node:
        if not self._free_inodes:
            raise no_room(f"{name!r} would be one more file", f"{len(self._image.inodes)} files")
        (number,) = take(self._free_inodes, 1)
        self._image.mark_inode(number, used=True)
        record = inode_record(mode, 0, links=1, sectors=0, pointers=[0] * 15, date=self._date)
        place = self._image.inode_place(number)
        self._image.bytes[place] = record.ljust(self._shape.inode, b"\0")
        entry = self._entry(number, name, mode)
        node = Node(number, (self.key(name),), entry, is_directory=mode == DIRECTORY)
        return self._added(directory, node)

    def _store(self, what: str, content: bytes) -> tuple[list[int], int]:
        """Put content into free blocks; returns an inode's pointers to them, and their number."""
        size, before = self._shape.block, len(self._free_blocks)
        full = no_room(f"{what} has {len(content)} bytes", f"{before * size} bytes")

        def put(part: bytes) -> list[int]:
            count = -(-len(part) // size)
            if count > len(self._free_blocks):
                raise full
            blocks = take(self._free_blocks, count)
            for index, block in enumerate(blocks):
                self._image.mark_block(block, used=True)
                piece = part[index * size : (index + 1) * size]
                self._image.bytes[self._image.place(block)] = piece.ljust(size, b"\0")
            return blocks

        def index(pointers: Sequence[int]) -> int:
            return put(struct.pack(f"<{len(pointers)}I", *pointers))[0]

        pointers = block_pointers(put(content), size // 4, index)
        return pointers, before - len(self._free_blocks)

    def _release(self, directory: Node, node: Node) -> None:
        inode = self._image.inode(node.place)
        if node.is_directory:
            self._image.set_links(directory.place, self._image.inode(directory.place).links - 1)
            self._directories.remove(node.place)
        elif inode.links > 1:
            self._image.set_links(node.place, inode.links - 1)
            return
        self._discard([block for block, _ in self._image.blocks(inode)])
        if inode.attributes and self._image.drop_attributes(inode.attributes):
            self._discard([inode.attributes])
        self._image.bytes[self._image.inode_place(node.place)] = bytes(self._shape.inode)
        self._image.mark_inode(node.place, used=False)
        heappush(self._free_inodes, node.place)

    def _discard(self, blocks: Iterable[int]) -> None:
        """Free them, and forget what was in them: it may have been secret."""
        for block in blocks:
            self._image.bytes[self._image.place(block)] = bytes(self._shape.block)
            self._image.mark_block(block, used=False)
            heappush(self._free_blocks, block)

    def _write_directory(self, directory: Node) -> None:
        inode = self._image.inode(directory.place)
        self._discard([block for block, _ in self._image.blocks(inode)])
        content = directory_content(directory.records(), self._shape.block)
        pointers, blocks = self._store("a directory", content)
        self._image.set_blocks(directory.place, len(content), pointers, blocks)

    def _finished(self) -> bytes:
        self._image.count(self._directories)
        return bytes(self._image.bytes)
