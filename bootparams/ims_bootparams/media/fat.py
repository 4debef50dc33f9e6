"""FAT images, written from scratch in memory: no mkfs, no mount, no root.

The one library that could write them is refused by mtools and needs a dead dependency; programs
of the host would need files on its disk, with secrets in them. What is written here is the small
part of the format that a medium needs: one volume without partitions, FAT12 or FAT16 by its size,
each file in consecutive clusters, a long name for every entry.

Source: Microsoft, "FAT32 File System Specification" (fatgen103), which describes FAT12, FAT16 and
long names too; the section names below are its own.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from ims_bootparams.media.fat_entries import (
    DIRECTORY,
    ENTRY,
    FILE,
    LONG_CHARACTERS,
    VOLUME_ID,
    alias,
    long_name,
    short_entry,
    timestamp,
)
from ims_bootparams.media.tree import check_files, check_image, directories_of
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["build_fat"]

_LABEL = re.compile(r"[A-Z0-9_-]{1,11}")
_SECTOR = 512
_TRACK = 32  # sectors; with the heads, mtools wants the volume to be a multiple of both
_HEADS = 2
_LEAST_SECTORS = 2048  # 1 MiB
_SPARE = 16  # clusters left free
_MOST_FAT12 = 4084 - _SPARE  # clusters; the specification asks to stay clear of the limit
_LEAST_FAT16 = 4085 + _SPARE
_MOST_FAT16 = 65524 - _SPARE


def build_fat(
    files: Mapping[str, bytes], label: str, *, limit: int | None = None, serial: str = ""
) -> bytes:
    """A FAT12 or FAT16 image; see :func:`ims_bootparams.media.build`.

    The label is in upper case, in the boot sector and in the root directory. The serial makes the
    volume's serial number.
    """
    label = label.upper()
    if not _LABEL.fullmatch(label):
        raise InvalidError(f"volume label {label!r}: on FAT use up to 11 letters, digits, _ and -")
    check_files(files, limit)
    shape = _shape(files)
    check_image(files, shape.sectors * _SECTOR, limit)
    volume = _Volume(shape.cluster, timestamp())
    children = _children(files)
    root = _volume_entry(label, volume.stamp) + volume.entries("", children, files, parent=0)
    table = volume.table12() if shape.bits == 12 else volume.table16()  # noqa: PLR2004 - bits
    parts = [
        _boot_sector(shape, label, zlib.crc32(serial.encode())),
        *[table.ljust(shape.table_sectors * _SECTOR, b"\0")] * 2,
        root.ljust(shape.root_entries * ENTRY, b"\0"),
        *volume.data,
    ]
    return b"".join((*parts, bytes(shape.sectors * _SECTOR - sum(map(len, parts)))))


# --- how large everything is ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """The numbers of the boot sector (section "BPB"), in sectors unless another unit is named."""

    bits: int  # of an entry of the allocation table
    cluster: int  # bytes
    table_sectors: int
    root_entries: int
    sectors: int


def _shape(files: Mapping[str, bytes]) -> _Shape:
    """The smallest volume that holds the files, and a little more."""
    children = _children(files)
    root_entries = max(512, _round_up(_entry_count(children[""]) + 1, 16))
    directories = [ENTRY * (_entry_count(children[name]) + 2) for name in children if name]
    sizes = [*map(len, files.values()), *directories]
    for bits, cluster in ((12, 512), (12, 2048), (16, 2048), (16, 8192)):
        clusters = sum(-(-size // cluster) for size in sizes) + _SPARE
        least, most = (0, _MOST_FAT12) if bits == 12 else (_LEAST_FAT16, _MOST_FAT16)  # noqa: PLR2004
        if clusters <= most - _TRACK * _HEADS:
            clusters = max(clusters, least)
            break
    else:
        raise InvalidError(
            f"the context is too large: {sum(sizes)} bytes, and FAT16 holds half a gibibyte",
            code="context-too-large",
        )
    table = -(-(clusters + 2 + _TRACK * _HEADS) * bits // (8 * _SECTOR))
    used = 1 + 2 * table + root_entries * ENTRY // _SECTOR + clusters * (cluster // _SECTOR)
    sectors = _round_up(max(used, _LEAST_SECTORS if cluster == _SECTOR else 0), _TRACK * _HEADS)
    if sectors > used + _TRACK * _HEADS:  # the least size: more clusters than were counted
        table = -(-(sectors + 2) * bits // (8 * _SECTOR))
    return _Shape(bits, cluster, table, root_entries, sectors)


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def _children(files: Mapping[str, bytes]) -> dict[str, list[str]]:
    """The paths in each directory by its path, the root's being empty; sorted."""
    found: dict[str, list[str]] = {"": []}
    for name in directories_of(files):
        found[name] = []
    for path in sorted([*files, *(name for name in found if name)]):
        found[path.rpartition("/")[0]].append(path)
    return found


def _entry_count(paths: list[str]) -> int:
    """Directory entries that these names take: the short one and those of the long name."""
    lengths = (len(path.rpartition("/")[2]) for path in paths)
    return sum(1 + -(-length // LONG_CHARACTERS) for length in lengths)


# --- the parts of the volume ---------------------------------------------------------------------


def _boot_sector(shape: _Shape, label: str, serial: int) -> bytes:
    """Sections "Boot Sector and BPB" and "Extended Boot Signature"; without code."""
    small = shape.sectors if shape.sectors < 1 << 16 else 0
    sector = struct.pack(
        "<3s8sHBHBHHBHHHII BBBI11s8s",
        *(b"\xeb\x3c\x90", b"IMS     "),
        *(_SECTOR, shape.cluster // _SECTOR, 1, 2, shape.root_entries, small, 0xF8),
        *(shape.table_sectors, _TRACK, _HEADS, 0, 0 if small else shape.sectors),
        *(0x80, 0, 0x29, serial, label.ljust(11).encode(), f"FAT{shape.bits}   ".encode()),
    )
    return sector.ljust(_SECTOR - 2, b"\0") + b"\x55\xaa"


@dataclass(slots=True)
class _Volume:
    """The data region while it is filled, and the allocation table that goes with it."""

    cluster: int
    stamp: tuple[int, int]
    data: list[bytes] = field(default_factory=list)
    chain: list[int] = field(default_factory=lambda: [0xFFF8, 0xFFFF])  # section "FAT"

    def entries(
        self,
        directory: str,
        children: Mapping[str, list[str]],
        files: Mapping[str, bytes],
        parent: int,
    ) -> bytes:
        """The entries of a directory; what they name is put into the data region.

        A subdirectory's own clusters come before those of what lies in it, because its children
        name them as their parent.
        """
        found = []
        for number, path in enumerate(children[directory]):
            if path in files:
                attributes, size = FILE, len(files[path])
                first = self.put(files[path])
            else:
                attributes, size = DIRECTORY, 0
                first = self._put_directory(path, children, files, parent)
            base = path.rpartition("/")[2]
            short = alias(number)
            found += long_name(base, short)
            found.append(short_entry(short, attributes, self.stamp, first, size))
        return b"".join(found)

    def _put_directory(
        self, path: str, children: Mapping[str, list[str]], files: Mapping[str, bytes], parent: int
    ) -> int:
        place = len(self.data)
        first = self.put(b"\0" * (ENTRY * (_entry_count(children[path]) + 2)))
        dots = [
            short_entry(name.ljust(11).encode(), DIRECTORY, self.stamp, cluster, 0)
            for name, cluster in ((".", first), ("..", parent))
        ]
        content = b"".join(dots) + self.entries(path, children, files, first)
        self.data[place] = content  # as long as what kept its place
        return first

    def put(self, content: bytes) -> int:
        """Put content into the next clusters; returns the first one, or 0 where there is none."""
        if not content:
            return 0
        first = len(self.chain)
        count = -(-len(content) // self.cluster)
        self.chain += [*range(first + 1, first + count), 0xFFFF]
        self.data += (content, bytes(-len(content) % self.cluster))  # no copy of what may be large
        return first

    def table16(self) -> bytes:
        """The allocation table of FAT16."""
        return struct.pack(f"<{len(self.chain)}H", *self.chain)

    def table12(self) -> bytes:
        """The allocation table of FAT12: two entries in three bytes."""
        entries = [each & 0xFFF for each in (*self.chain, 0, 0)]
        packed = [
            (low | high << 12).to_bytes(3, "little")
            for index, (low, high) in enumerate(pairwise(entries))
            if index % 2 == 0
        ]
        return b"".join(packed)


def _volume_entry(label: str, stamp: tuple[int, int]) -> bytes:
    return short_entry(label.ljust(11).encode(), VOLUME_ID, stamp, 0, 0)
