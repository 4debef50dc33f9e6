"""Entries of FAT directories: the short name's, which describes the file, and its long name's.

Source: Microsoft, "FAT32 File System Specification" (fatgen103), which describes FAT12, FAT16 and
long names too; the section names below are its own.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ims_bootparams.media.tree import epoch
from ims_bootparams.media.volume import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "DIRECTORY",
    "ENTRY",
    "FILE",
    "LONG_CHARACTERS",
    "LONG_NAME",
    "VOLUME_ID",
    "Entry",
    "alias",
    "long_name",
    "read_entries",
    "short_entry",
    "timestamp",
]

ENTRY = 32  # bytes
VOLUME_ID, DIRECTORY = 0x08, 0x10  # attributes
FILE = 0x01 | 0x20  # the attributes of a file that is written: read-only, to be archived
LONG_NAME = 0x0F  # the attributes of an entry that holds a part of a long name
LONG_CHARACTERS = 13  # in one entry
_LAST_LONG_ENTRY = 0x40
_END, _DELETED = 0x00, 0xE5  # an entry's first byte


def alias(number: int) -> bytes:
    """A short name. No medium's name has a tilde, so it is never the name of another file."""
    return f"F~{number:06}   ".encode()


def short_entry(
    name: bytes, attributes: int, stamp: tuple[int, int], first: int, size: int
) -> bytes:
    """Section "FAT Directory Structure"."""
    date, time = stamp
    return struct.pack(
        "<11sBBBHHHHHHHI", name, attributes, 0, 0, time, date, date, 0, time, date, first, size
    )


def long_name(name: str, alias: bytes) -> list[bytes]:
    """The entries of a long name, last part first (section "Long Directory Entries")."""
    entries = []
    for number, start in enumerate(range(0, len(name), LONG_CHARACTERS), start=1):
        part = name[start : start + LONG_CHARACTERS]
        ended = f"{part}\0".encode("utf-16-le") if len(part) < LONG_CHARACTERS else b""
        text = (ended or part.encode("utf-16-le")).ljust(2 * LONG_CHARACTERS, b"\xff")
        last = _LAST_LONG_ENTRY if start + LONG_CHARACTERS >= len(name) else 0
        entries.append(
            struct.pack(
                "<B10sBBB12sH4s",
                *(number | last, text[:10], LONG_NAME, 0, _checksum(alias)),
                *(text[10:22], 0, text[22:]),
            )
        )
    return entries[::-1]


def _checksum(alias: bytes) -> int:
    """Of a short name, by which a long name belongs to it (section "Checksum Value")."""
    total = 0
    for byte in alias:
        total = ((total & 1) << 7 | total >> 1) + byte & 0xFF
    return total


def timestamp() -> tuple[int, int]:
    """Date and time as FAT has them, in steps of two seconds (section "Date and Time Formats")."""
    when = datetime.fromtimestamp(max(epoch(), 315532800), UTC)
    date = (when.year - 1980) << 9 | when.month << 5 | when.day
    return date, when.hour << 11 | when.minute << 5 | when.second // 2


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, directory or label, as a directory has it.

    Attributes:
        record: All bytes: the entries of its long name, if it has one, and the short name's.
        names: The short name and the long one, for comparing: in lower case, as far as ASCII goes.
        attributes: As FAT has them.
        first: Its first cluster, or 0.
        size: Bytes of a file.
    """

    record: bytes
    names: tuple[bytes, ...]
    attributes: int
    first: int
    size: int


def read_entries(content: bytes) -> Iterator[Entry]:
    """The entries of a directory.

    Raises:
        UnsupportedError: A long name is damaged, or belongs to no file.
    """
    long: list[bytes] = []
    for at in range(0, len(content), ENTRY):
        slot = content[at : at + ENTRY]
        if slot[0] == _END:
            break
        if slot[0] != _DELETED and slot[11] & 0x3F == LONG_NAME:
            long.append(slot)
            continue
        if slot[0] != _DELETED:
            yield _entry(long, slot)
        elif long:
            break
        long = []
    if long:
        raise damaged("a long name belongs to no file")


def _entry(long: Sequence[bytes], short: bytes) -> Entry:
    base, suffix = short[:8].rstrip(b" "), short[8:11].rstrip(b" ")
    names = [base + b"." + suffix if suffix else base]
    if long:
        numbers = [*range(len(long), 0, -1)]
        numbers[0] |= _LAST_LONG_ENTRY
        total = _checksum(short[:11])
        if [(each[0], each[13]) for each in long] != [(number, total) for number in numbers]:
            raise damaged("a long name belongs to no file")
        text = b"".join(each[1:11] + each[14:26] + each[28:32] for each in reversed(long))
        names.append(text.decode("utf-16-le", "replace").partition("\0")[0].encode())
    first, size = struct.unpack_from("<HI", short, 26)
    return Entry(
        record=b"".join((*long, short)),
        names=tuple(each.lower() for each in names),
        attributes=short[11],
        first=first,
        size=size,
    )
