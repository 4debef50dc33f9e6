"""What the boot sector of a FAT file system says, if it is a FAT12 or FAT16 one.

Source: Microsoft, "FAT32 File System Specification" (fatgen103), sections "Boot Sector and BPB"
and "FAT Type Determination".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ims_bootparams.media.fat_entries import ENTRY
from ims_bootparams.media.volume import damaged, refused

__all__ = ["Shape", "looks_like_fat", "read_shape"]

_JUMPS = (0xEB, 0xE9)  # what x86 begins with
_SECTORS = (512, 1024, 2048, 4096)  # bytes
_CLUSTERS = (1, 2, 4, 8, 16, 32, 64, 128)  # sectors
_FLOPPY, _LEAST_MEDIA = 0xF0, 0xF8
_MOST_FAT12, _MOST_FAT16 = 4084, 65524  # clusters
_DIRTY = 0x01  # Linux sets it in a reserved byte while the file system is mounted


@dataclass(frozen=True, slots=True)
class Shape:
    """Where everything lies, in bytes from the image's beginning.

    Attributes:
        bits: Of an entry of the allocation tables.
        tables: Where each allocation table begins; all are as long as its step.
        root: Where the root directory begins, which ends where the data begin.
        data: Where the first cluster begins, whose number is 2.
        cluster: Bytes of a cluster.
        clusters: How many there are.
    """

    bits: int
    tables: range
    root: int
    data: int
    cluster: int
    clusters: int


def looks_like_fat(image: bytes) -> bool:
    """Whether it begins as the boot sector of any FAT file system does."""
    if len(image) < 512:  # noqa: PLR2004 - bytes
        return False
    sector, cluster = struct.unpack_from("<HB", image, 11)
    media = image[21]
    return (
        image[0] in _JUMPS
        and sector in _SECTORS
        and cluster in _CLUSTERS
        and (media == _FLOPPY or media >= _LEAST_MEDIA)
    )


def read_shape(image: bytes) -> Shape:
    """Of an image that looks like FAT.

    Raises:
        UnsupportedError: It is FAT32, mounted, larger than the image, or damaged.
    """
    sector, cluster, reserved, tables, entries, small, _, table = struct.unpack_from(
        "<HBHBHHBH", image, 11
    )
    if not table or not entries:
        raise refused("it is FAT32, or another file system than FAT12 and FAT16")
    if tables not in (1, 2) or not reserved or entries * ENTRY % sector:
        raise damaged("its boot sector makes no sense")
    sectors = small or struct.unpack_from("<I", image, 32)[0]
    if sectors * sector > len(image):
        raise damaged(f"it has {sectors * sector} bytes, the image {len(image)}")
    root = (reserved + tables * table) * sector
    data = root + entries * ENTRY
    clusters = (sectors * sector - data) // (cluster * sector)
    bits = 12 if clusters <= _MOST_FAT12 else 16
    if clusters > _MOST_FAT16:
        raise refused("it is FAT32")
    if clusters < 1 or (clusters + 2) * bits > 8 * table * sector:
        raise damaged("its allocation table is too small")
    if image[37] & _DIRTY:
        raise refused("it was not unmounted")
    return Shape(
        bits=bits,
        tables=range(reserved * sector, root, table * sector),
        root=root,
        data=data,
        cluster=cluster * sector,
        clusters=clusters,
    )
