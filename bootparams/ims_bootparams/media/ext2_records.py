"""What ext2 is made of, in bytes: inodes, their pointers to blocks, and directories.

Source: the Linux kernel's ``fs/ext2/ext2.h`` and Dave Poirier, "The Second Extended File System".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from ims_bootparams.media.volume import damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = [
    "DIRECT",
    "DIRECTORY",
    "FILE",
    "INODE",
    "ROOT",
    "Entry",
    "block_pointers",
    "directory_content",
    "directory_entry",
    "inode_record",
    "read_directory",
]

INODE = 128  # bytes of an inode, as far as ext2 knows them
ROOT = 2  # the root's inode number
DIRECT = 12  # blocks that an inode names itself
FILE, DIRECTORY = 0o100400, 0o040700  # modes; for root alone, because media hold secrets
_FILE_TYPE = {FILE: 1, DIRECTORY: 2}
_LEAST_ENTRY = 12  # bytes, with a name of one character


class Entry(NamedTuple):
    """An entry of a directory.

    Attributes:
        inode: Its number.
        name: As it is.
        record: The whole entry, as :func:`directory_content` takes it.
    """

    inode: int
    name: bytes
    record: bytes


def inode_record(
    mode: int, size: int, *, links: int, sectors: int, pointers: Sequence[int], date: int
) -> bytes:
    """An inode (``struct ext2_inode``) of root's.

    Args:
        mode: Type and permissions.
        size: Bytes.
        links: Directory entries that name it.
        sectors: What its blocks take, those that hold pointers too; in 512 bytes.
        pointers: Fifteen, to its blocks.
        date: Seconds since 1970.
    """
    return struct.pack(
        "<HHIIIIIHHIII15I28x",
        *(mode, 0, size, date, date, date, 0, 0, links, sectors, 0, 0, *pointers),
    )


def block_pointers(
    blocks: Sequence[int], each: int, index: Callable[[Sequence[int]], int]
) -> list[int]:
    """An inode's fifteen pointers to these blocks.

    Args:
        blocks: All blocks of a file, fewer than ``each`` squared.
        each: Pointers that a block holds.
        index: Puts pointers, at least one, into a block of their own, and returns its number.
    """
    single = blocks[DIRECT : DIRECT + each]
    pointers = [*blocks[:DIRECT], *[0] * (DIRECT - len(blocks)), index(single) if single else 0]
    rest = blocks[DIRECT + each :]
    double = [index(rest[at : at + each]) for at in range(0, len(rest), each)]
    return [*pointers, index(double) if double else 0, 0]


def directory_entry(number: int, name: str, mode: int, *, typed: bool = True) -> bytes:
    """An entry (``struct ext2_dir_entry_2``) that does not yet say how far the next one is."""
    head = struct.pack("<IHBB", number, 0, len(name), _FILE_TYPE[mode] if typed else 0)
    entry = head + name.encode()
    return entry.ljust(-(-len(entry) // 4) * 4, b"\0")


def directory_content(entries: Iterable[bytes], block: int) -> bytes:
    """Linked directory entries; the last of each block reaches to its end."""
    blocks: list[list[bytearray]] = [[]]
    room = block
    for entry in map(bytearray, entries):
        if len(entry) > room:
            blocks.append([])
            room = block
        blocks[-1].append(entry)
        room -= len(entry)
    for each in blocks:
        for entry in each:
            struct.pack_into("<H", entry, 4, len(entry))
        rest = block - sum(map(len, each[:-1]))
        struct.pack_into("<H", each[-1], 4, rest)
        each[-1] += bytes(rest - len(each[-1]))
    return b"".join(entry for each in blocks for entry in each)


def read_directory(content: bytes, block: int) -> Iterator[Entry]:
    """The entries of a directory.

    The inner nodes of an indexed directory are entries for nothing, and so are not among them.

    Raises:
        UnsupportedError: One reaches out of its block, or is too small.
    """
    at = 0
    while at < len(content):
        room = block - at % block
        if room < _LEAST_ENTRY:
            raise damaged("a directory entry is too small")
        number, length, size = struct.unpack_from("<IHB", content, at)
        if length % 4 or not max(8 + size, _LEAST_ENTRY) <= length <= room:
            raise damaged("a directory entry is too small, or reaches out of its block")
        if number:
            end = at + 8 + size
            yield Entry(number, content[at + 8 : end], content[at : end + -size % 4])
        at += length
