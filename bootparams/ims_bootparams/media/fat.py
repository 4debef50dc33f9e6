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
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from ims_bootparams.media.tree import check_files, check_image, directories_of, epoch
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["build_fat"]

_LABEL = re.compile(r"[A-Z0-9_-]{1,11}")
_SECTOR = 512
_ENTRY = 32  # bytes of a directory entry
_TRACK = 32  # sectors; with the heads, mtools wants the volume to be a multiple of both
_HEADS = 2
_LEAST_SECTORS = 2048  # 1 MiB
_SPARE = 16  # clusters left free
_MOST_FAT12 = 4084 - _SPARE  # clusters; the specification asks to stay clear of the limit
_LEAST_FAT16 = 4085 + _SPARE
_MOST_FAT16 = 65524 - _SPARE

_READ_ONLY, _VOLUME_ID, _DIRECTORY, _ARCHIVE = 0x01, 0x08, 0x10, 0x20
_LONG_NAME = 0x0F
_LAST_LONG_ENTRY = 0x40
_LONG_CHARACTERS = 13  # in one entry


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
    volume = _Volume(shape.cluster, _timestamp())
    children = _children(files)
    root = _volume_entry(label, volume.stamp) + volume.entries("", children, files, parent=0)
    table = volume.table12() if shape.bits == 12 else volume.table16()  # noqa: PLR2004 - bits
    parts = [
        _boot_sector(shape, label, zlib.crc32(serial.encode())),
        *[table.ljust(shape.table_sectors * _SECTOR, b"\0")] * 2,
        root.ljust(shape.root_entries * _ENTRY, b"\0"),
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
    directories = [_ENTRY * (_entry_count(children[name]) + 2) for name in children if name]
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
    used = 1 + 2 * table + root_entries * _ENTRY // _SECTOR + clusters * (cluster // _SECTOR)
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
    return sum(1 + -(-length // _LONG_CHARACTERS) for length in lengths)


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
                attributes, size = _READ_ONLY | _ARCHIVE, len(files[path])
                first = self.put(files[path])
            else:
                attributes, size = _DIRECTORY, 0
                first = self._put_directory(path, children, files, parent)
            base = path.rpartition("/")[2]
            # No medium's name has a tilde, so an alias is never the name of another file.
            alias = f"F~{number:06}   ".encode()
            found += _long_name(base, alias)
            found.append(_short_entry(alias, attributes, self.stamp, first, size))
        return b"".join(found)

    def _put_directory(
        self, path: str, children: Mapping[str, list[str]], files: Mapping[str, bytes], parent: int
    ) -> int:
        place = len(self.data)
        first = self.put(b"\0" * (_ENTRY * (_entry_count(children[path]) + 2)))
        dots = [
            _short_entry(name.ljust(11).encode(), _DIRECTORY, self.stamp, cluster, 0)
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


def _short_entry(
    name: bytes, attributes: int, stamp: tuple[int, int], first: int, size: int
) -> bytes:
    """Section "FAT Directory Structure"."""
    date, time = stamp
    return struct.pack(
        "<11sBBBHHHHHHHI", name, attributes, 0, 0, time, date, date, 0, time, date, first, size
    )


def _volume_entry(label: str, stamp: tuple[int, int]) -> bytes:
    return _short_entry(label.ljust(11).encode(), _VOLUME_ID, stamp, 0, 0)


def _long_name(name: str, alias: bytes) -> list[bytes]:
    """The entries of a long name, last part first (section "Long Directory Entries")."""
    checksum = 0
    for byte in alias:
        checksum = ((checksum & 1) << 7 | checksum >> 1) + byte & 0xFF
    entries = []
    for number, start in enumerate(range(0, len(name), _LONG_CHARACTERS), start=1):
        part = name[start : start + _LONG_CHARACTERS]
        ended = f"{part}\0".encode("utf-16-le") if len(part) < _LONG_CHARACTERS else b""
        text = (ended or part.encode("utf-16-le")).ljust(2 * _LONG_CHARACTERS, b"\xff")
        last = _LAST_LONG_ENTRY if start + _LONG_CHARACTERS >= len(name) else 0
        entries.append(
            struct.pack(
                "<B10sBBB12sH4s",
                *(number | last, text[:10], _LONG_NAME, 0, checksum, text[10:22], 0, text[22:]),
            )
        )
    return entries[::-1]


def _timestamp() -> tuple[int, int]:
    """Date and time as FAT has them, in steps of two seconds (section "Date and Time Formats")."""
    when = datetime.fromtimestamp(max(epoch(), 315532800), UTC)
    date = (when.year - 1980) << 9 | when.month << 5 | when.day
    return date, when.hour << 11 | when.minute << 5 | when.second // 2
