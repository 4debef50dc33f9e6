"""ext2 images, written from scratch in memory: no mke2fs, no mount, no root.

No library on the package index writes them, and the host's program would need files on its disk
with secrets in them. What is written here is the small part of the format that a medium needs:
revision 1, one block group (1 KiB blocks to 8 MiB, 4 KiB blocks to 128 MiB), consecutive blocks,
linear directories.

Source: the Linux kernel's ``fs/ext2/ext2.h`` and Dave Poirier, "The Second Extended File System".
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ims_bootparams.media.ext2_records import (
    DIRECTORY,
    FILE,
    INODE,
    ROOT,
    block_pointers,
    directory_content,
    directory_entry,
    inode_record,
)
from ims_bootparams.media.tree import check_files, check_image, directories_of, epoch
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["build_ext2"]

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,16}")
_FIRST = 11  # the first inode number that is free, lost+found's
_LEAST_BLOCKS = 256
_SPARE = 16  # blocks left free
_LOST = "lost+found"


def build_ext2(
    files: Mapping[str, bytes], label: str, *, limit: int | None = None, serial: str = ""
) -> bytes:
    """An ext2 image; see :func:`ims_bootparams.media.build`.

    The serial makes the volume's UUID.
    """
    if not _LABEL.fullmatch(label):
        raise InvalidError(f"volume label {label!r}: use up to 16 letters, digits, _ and -")
    check_files(files, limit)
    size = sum(map(len, files.values()))
    volume = None
    for block in (1024, 4096):
        if size < 8 * block * block:  # what one group's bitmap can tell of
            volume = _Volume(block, len(files) + len(directories_of(files))).filled(files)
            if volume.fits:
                break
    if volume is None or not volume.fits:
        raise InvalidError(
            f"the context is too large: {size} bytes, and an ext2 disk holds 128 MiB",
            code="context-too-large",
        )
    check_image(files, volume.blocks * volume.block, limit)
    return volume.image(label, serial)


@dataclass(slots=True)
class _Volume:
    """One block group while it is filled.

    Attributes:
        block: Bytes of a block.
        count: Files and directories there will be, the root and lost+found not counted.
        data: The blocks behind the inode table, in pieces, and how many they are.
        inodes: The inode table's entries by number.
        directories: How many of them are directories.
    """

    block: int
    count: int
    data: list[bytes] = field(default_factory=list)
    data_blocks: int = 0
    inodes: dict[int, bytes] = field(default_factory=dict)
    directories: int = 0
    date: int = field(default_factory=epoch)

    # --- where things lie ---

    @property
    def first(self) -> int:
        """The block with the superblock, which begins at byte 1024."""
        return 1 if self.block == 1024 else 0  # noqa: PLR2004 - bytes

    @property
    def table_blocks(self) -> int:
        """Blocks of the inode table."""
        return -(-(_FIRST + self.count) * INODE // self.block)

    @property
    def inode_count(self) -> int:
        """Inodes, as many as the table's blocks hold."""
        return self.table_blocks * self.block // INODE

    @property
    def overhead(self) -> int:
        """Blocks before the data: superblock, group descriptor, two bitmaps, inode table."""
        return self.first + 4 + self.table_blocks

    @property
    def used(self) -> int:
        """Blocks in use, from block 0 on."""
        return self.overhead + self.data_blocks

    @property
    def blocks(self) -> int:
        """All blocks."""
        return max(self.used + _SPARE, _LEAST_BLOCKS)

    @property
    def fits(self) -> bool:
        """Whether the block bitmap, which is one block, can tell of all blocks."""
        return self.blocks - self.first <= 8 * self.block

    # --- filling ---

    def filled(self, files: Mapping[str, bytes]) -> _Volume:
        """Itself, with all files in it."""
        directories = directories_of(files)
        names = enumerate([_LOST, *directories, *sorted(files)], start=_FIRST)
        numbers = {"": ROOT, **{name: number for number, name in names}}
        for name in ("", _LOST, *directories):
            self._add_directory(name, numbers, files)
        for name in sorted(files):
            self._add(numbers[name], FILE, files[name], links=1)
        return self

    def _add_directory(
        self, name: str, numbers: Mapping[str, int], files: Mapping[str, bytes]
    ) -> None:
        parent = numbers[name.rpartition("/")[0]]
        prefix = f"{name}/" if name else ""
        children = [
            each
            for each in numbers
            if each and each.startswith(prefix) and "/" not in each[len(prefix) :]
        ]
        entries = [(numbers[name], ".", DIRECTORY), (parent, "..", DIRECTORY)]
        for each in children:
            mode = FILE if each in files else DIRECTORY
            entries.append((numbers[each], each[len(prefix) :], mode))
        links = 2 + sum(mode == DIRECTORY for _, _, mode in entries[2:])
        content = directory_content((directory_entry(*each) for each in entries), self.block)
        self._add(numbers[name], DIRECTORY, content, links=links)
        self.directories += 1

    def _add(self, number: int, mode: int, content: bytes, *, links: int) -> None:
        before = self.used
        pointers = block_pointers(self._append(content), self.block // 4, self._index)
        sectors = (self.used - before) * (self.block // 512)
        self.inodes[number] = inode_record(
            mode, len(content), links=links, sectors=sectors, pointers=pointers, date=self.date
        )

    def _index(self, pointers: Sequence[int]) -> int:
        """Put a block of pointers to blocks."""
        return self._append(struct.pack(f"<{len(pointers)}I", *pointers)).start

    def _append(self, content: bytes) -> range:
        """Put content into the next blocks, without a copy of what may be large."""
        start = self.used
        self.data_blocks += -(-len(content) // self.block)
        self.data += (content, bytes(-len(content) % self.block))
        return range(start, self.used)

    # --- the image ---

    def image(self, label: str, serial: str) -> bytes:
        """The whole image."""
        blocks = [
            self._superblock(label, serial),
            self._descriptor(),
            _bitmap(self.used - self.first, self.blocks - self.first, self.block),
            _bitmap(_FIRST + self.count, self.inode_count, self.block),
        ]
        head = bytes(self.first * self.block) + b"".join(
            each.ljust(self.block, b"\0") for each in blocks
        )
        table = b"".join(
            self.inodes.get(number, bytes(INODE)) for number in range(1, self.inode_count + 1)
        )
        spare = bytes((self.blocks - self.used) * self.block)
        return b"".join((head, table, *self.data, spare))

    def _superblock(self, label: str, serial: str) -> bytes:
        per_group = 8 * self.block
        uuid = hashlib.sha256(serial.encode()).digest()[:16]
        superblock = struct.pack(
            "<13I6H4I2HI2H3I16s16s",
            *(self.inode_count, self.blocks, 0, self.blocks - self.used),
            *(self.inode_count - _FIRST - self.count, self.first),
            *((self.block // 1024).bit_length() - 1,) * 2,  # as a power of two, of 1024
            *(per_group, per_group, self.inode_count, 0, self.date),
            *(0, 0xFFFF, 0xEF53, 1, 1, 0),  # mounts, at most so many; magic, clean, ...
            *(self.date, 0, 0, 1),  # checked when, how often; made by Linux, revision 1
            *(0, 0, _FIRST, INODE, 0),
            *(0, 2, 1),  # features: file types in directories, few superblock copies
            *(uuid, label.encode()),
        )
        return superblock if self.first else bytes(1024) + superblock

    def _descriptor(self) -> bytes:
        return struct.pack(
            "<IIIHHHH12x",
            *(self.first + 2, self.first + 3, self.first + 4),
            *(self.blocks - self.used, self.inode_count - _FIRST - self.count, self.directories, 0),
        )


def _bitmap(used: int, count: int, size: int) -> bytes:
    """The first ``used`` bits are set, and those behind ``count``, which stand for nothing."""
    bits = (1 << used) - 1 | ((1 << 8 * size) - 1) ^ ((1 << count) - 1)
    return bits.to_bytes(size, "little")
