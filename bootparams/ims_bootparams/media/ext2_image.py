"""Where things are in an ext2 image, and what they say: groups, inodes, blocks.

Source: the Linux kernel's ``fs/ext2/ext2.h``, ``struct ext2_group_desc`` and ``struct
ext2_inode``; for extended attributes ``fs/ext2/xattr.h``.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from stat import S_IFBLK, S_IFCHR, S_IFIFO, S_IFMT, S_IFSOCK, S_ISLNK
from typing import TYPE_CHECKING

from ims_bootparams.media.ext2_records import DIRECT
from ims_bootparams.media.ext2_superblock import DESCRIPTOR, SUPERBLOCK, read_shape
from ims_bootparams.media.volume import Claims, damaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Ext2Image", "Inode"]

_XATTR = 0xEA020000  # what a block with extended attributes begins with
_INDEXED = 0x1000  # the flag of a directory with an index
_WITHOUT_BLOCKS = (S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK)


@dataclass(frozen=True, slots=True)
class Inode:
    """What an inode says.

    Attributes:
        mode: Type and permissions; 0 for some reserved ones.
        size: Bytes, modulo 4 GiB.
        links: Directory entries that name it.
        sectors: What its blocks take, in 512 bytes.
        flags: As ext2 has them.
        pointers: Fifteen, unless it is a device or the like.
        attributes: The block with its extended attributes, or 0.
    """

    mode: int
    size: int
    links: int
    sectors: int
    flags: int
    pointers: tuple[int, ...]
    attributes: int


class Ext2Image:
    """An ext2 image that can be changed.

    Attributes:
        bytes: The image.
        shape: What its superblock says.
        inodes: The numbers of all inodes.
    """

    def __init__(self, image: bytes) -> None:
        """Read the superblock and the groups' descriptors, but believe none of the latter.

        Raises:
            UnsupportedError: It is not one of a clean ext2 file system.
        """
        self.bytes = bytearray(image)
        self.shape = read_shape(image)
        self.inodes = range(1, self.shape.groups * self.shape.group_inodes + 1)
        # The blocks with each group's block bitmap, inode bitmap, and its first with inodes.
        self._groups: list[tuple[int, int, int]] = [
            struct.unpack_from("<III", self.bytes, self._descriptor(group))
            for group in range(self.shape.groups)
        ]

    def _descriptor(self, group: int) -> int:
        return (self.shape.first + 1) * self.shape.block + group * DESCRIPTOR

    def check(self) -> None:
        """Account for every block.

        Raises:
            UnsupportedError: One is used twice, or used and called free, or the other way round.
        """
        claims = Claims(self.shape.first, self.shape.end)
        for group in range(self.shape.groups):
            for block in self._metadata(group):
                claims.claim(block)
        free, attributes = set(self.free_inodes()), Counter[int]()
        for inode in (self.inode(each) for each in self.inodes if each not in free):
            for block, _ in self.blocks(inode):
                claims.claim(block)  # before it is read, if it has pointers: it is in the image
            attributes[inode.attributes] += 1
        del attributes[0]
        for block, users in attributes.items():
            claims.claim(block)
            if struct.unpack_from("<II", self.bytes, block * self.shape.block) != (_XATTR, users):
                raise damaged(f"block {block} is not the extended attributes of {users} files")
        if claims.free() != self.free_blocks():
            raise damaged("its bitmaps are not of the blocks that are in use")

    def _metadata(self, group: int) -> Iterator[int]:
        """The blocks of a group that are in no file."""
        shape = self.shape
        first = shape.first + group * shape.group_blocks
        if not shape.few_copies or _has_copies(group):
            yield from range(first, first + 1 + -(-shape.groups * DESCRIPTOR // shape.block))
        *bitmaps, table = self._groups[group]
        yield from bitmaps
        yield from range(table, table + -(-shape.group_inodes * shape.inode // shape.block))

    # --- what is in use ---

    def free_blocks(self) -> list[int]:
        """Those that the bitmaps call free, sorted."""
        shape = self.shape
        starts = range(shape.first, shape.end, shape.group_blocks)
        return [
            start + index
            for start, (bitmap, _, _) in zip(starts, self._groups, strict=True)
            for index in self._clear(bitmap, min(shape.group_blocks, shape.end - start))
        ]

    def free_inodes(self) -> list[int]:
        """Those that the bitmaps call free, sorted."""
        return [
            start + index
            for start, (_, bitmap, _) in zip(
                self.inodes[:: self.shape.group_inodes], self._groups, strict=True
            )
            for index in self._clear(bitmap, self.shape.group_inodes)
        ]

    def _clear(self, bitmap: int, count: int) -> Iterator[int]:
        bits = self.bytes[self.place(bitmap)]
        return (index for index in range(count) if not bits[index // 8] >> index % 8 & 1)

    def mark_block(self, block: int, *, used: bool) -> None:
        """Say in the bitmap whether a block is in use."""
        group, index = divmod(block - self.shape.first, self.shape.group_blocks)
        self._mark(self._groups[group][0], index, used=used)

    def mark_inode(self, number: int, *, used: bool) -> None:
        """Say in the bitmap whether an inode is in use."""
        group, index = divmod(number - 1, self.shape.group_inodes)
        self._mark(self._groups[group][1], index, used=used)

    def _mark(self, bitmap: int, index: int, *, used: bool) -> None:
        at = bitmap * self.shape.block + index // 8
        bit = 1 << index % 8
        self.bytes[at] = self.bytes[at] | bit if used else self.bytes[at] & ~bit

    def count(self, directories: Iterable[int]) -> None:
        """Say in the superblock and in the groups how much is free and used.

        Args:
            directories: The inodes of all directories.
        """
        shape, blocks, inodes = self.shape, self.free_blocks(), self.free_inodes()
        struct.pack_into("<II", self.bytes, SUPERBLOCK + 12, len(blocks), len(inodes))
        in_group = [
            Counter((each - shape.first) // shape.group_blocks for each in blocks),
            Counter((each - 1) // shape.group_inodes for each in inodes),
            Counter((each - 1) // shape.group_inodes for each in directories),
        ]
        for group in range(shape.groups):
            counts = (each[group] for each in in_group)
            struct.pack_into("<HHH", self.bytes, self._descriptor(group) + 12, *counts)

    # --- inodes and blocks ---

    def place(self, block: int) -> slice:
        """Where a block is."""
        return slice(block * self.shape.block, (block + 1) * self.shape.block)

    def inode_place(self, number: int) -> slice:
        """Where an inode is."""
        group, index = divmod(number - 1, self.shape.group_inodes)
        at = self._groups[group][2] * self.shape.block + index * self.shape.inode
        return slice(at, at + self.shape.inode)

    def inode(self, number: int) -> Inode:
        """What an inode says."""
        mode, size, links, sectors, flags, *pointers, attributes = struct.unpack_from(
            "<H2xI18xHII4x15I4xI", self.bytes, self.inode_place(number).start
        )
        return Inode(mode, size, links, sectors, flags, tuple(pointers), attributes)

    def set_links(self, number: int, links: int) -> None:
        """Say how many directory entries name an inode."""
        struct.pack_into("<H", self.bytes, self.inode_place(number).start + 26, links)

    def set_blocks(self, number: int, size: int, pointers: Sequence[int], blocks: int) -> None:
        """Give an inode other blocks.

        Args:
            number: The inode's, which is in use.
            size: Bytes of the content.
            pointers: Fifteen, to the new blocks.
            blocks: How many they are, those with pointers too.
        """
        at, old = self.inode_place(number).start, self.inode(number)
        sectors = (blocks + bool(old.attributes)) * (self.shape.block // 512)
        struct.pack_into("<I", self.bytes, at + 4, size)
        struct.pack_into("<II4x15I", self.bytes, at + 28, sectors, old.flags & ~_INDEXED, *pointers)

    def blocks(self, inode: Inode) -> Iterator[tuple[int, bool]]:
        """The blocks of an inode in their order, holes left out; and whether it is a file's data.

        A block with pointers comes before what it points to, and is not read before the next is
        asked for.
        """
        own = inode.sectors - (self.shape.block // 512 if inode.attributes else 0)
        is_short_link = S_ISLNK(inode.mode) and not own  # its target is where pointers would be
        if is_short_link or S_IFMT(inode.mode) in _WITHOUT_BLOCKS:
            return
        depths = (0,) * DIRECT + (1, 2, 3)
        for pointer, depth in zip(inode.pointers, depths, strict=True):
            yield from self._below(pointer, depth)

    def _below(self, pointer: int, depth: int) -> Iterator[tuple[int, bool]]:
        if not pointer:
            return
        yield pointer, not depth
        if depth:
            for (each,) in struct.iter_unpack("<I", self.bytes[self.place(pointer)]):
                yield from self._below(each, depth - 1)

    def drop_attributes(self, block: int) -> bool:
        """One file less has these extended attributes; whether none has them now."""
        at = block * self.shape.block + 4
        (users,) = struct.unpack_from("<I", self.bytes, at)
        struct.pack_into("<I", self.bytes, at, users - 1)
        return bool(users == 1)


def _has_copies(group: int) -> bool:
    """Groups 0 and 1, and the powers of 3, 5 and 7 (``ext2_group_sparse``)."""
    return group <= 1 or any(base**power == group for base in (3, 5, 7) for power in range(1, 12))
