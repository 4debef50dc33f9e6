"""What the superblock of an ext2 file system says, if it is one that is changed here.

Source: the Linux kernel's ``fs/ext2/ext2.h``, ``struct ext2_super_block``, and for the meaning of
feature bits ``ext2_fill_super`` in ``fs/ext2/super.c``: unknown incompatible ones forbid any use,
unknown read-only compatible ones forbid writing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ims_bootparams.media.ext2_records import INODE, ROOT
from ims_bootparams.media.volume import damaged, refused

__all__ = ["DESCRIPTOR", "SUPERBLOCK", "Shape", "looks_like_ext2", "read_shape"]

SUPERBLOCK = 1024  # where it begins, in bytes, and how many it has
DESCRIPTOR = 32  # bytes of a group's; they follow the block with the superblock
_MAGIC = 0xEF53
_CLEAN = 1
_REVISION = 1  # the one with features
_MOST_LOG_BLOCK = 2  # 4 KiB, as a power of two of 1024
# Directories with space set aside, a journal, extended attributes, descriptors with space set
# aside, indexed directories: whoever knows none of them may write, and the indexes we drop.
_COMPATIBLE = 0x01 | 0x04 | 0x08 | 0x10 | 0x20
_INCOMPATIBLE = 0x02  # file types in directories
_READ_ONLY = 0x01 | 0x02  # few superblock copies, files above 2 GiB
_RECOVER, _FEW_COPIES = 0x04, 0x01  # of the incompatible ones, and of those for readers


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of the superblock.

    Attributes:
        block: Bytes of a block.
        first: The first block of the first group.
        end: The number of blocks, those before the first group too.
        group_blocks: Blocks of each group, except perhaps for the last.
        group_inodes: Inodes of each group.
        groups: How many there are.
        inode: Bytes of an inode.
        first_inode: The first one which is not reserved.
        few_copies: Whether only some groups have copies of the superblock.
        has_file_types: Whether directory entries have them.
    """

    block: int
    first: int
    end: int
    group_blocks: int
    group_inodes: int
    groups: int
    inode: int
    first_inode: int
    few_copies: bool
    has_file_types: bool


def looks_like_ext2(image: bytes) -> bool:
    """Whether it has the magic number of ext2, ext3 and ext4."""
    return len(image) >= 2 * SUPERBLOCK and _field(image, "<H", 56) == _MAGIC


def read_shape(image: bytes) -> Shape:
    """Of an image that looks like ext2.

    Raises:
        UnsupportedError: It is something newer or older, not clean, larger than the image, or
            damaged.
    """
    _check_features(image)
    if _field(image, "<H", 58) != _CLEAN or _field(image, "<I", 232):  # the orphans, deleted openly
        raise refused("it was not unmounted, or has errors")
    log_block = _field(image, "<I", 24)
    if log_block > _MOST_LOG_BLOCK:
        raise refused("its blocks are larger than 4 KiB")
    first, end, group_blocks = (_field(image, "<I", at) for at in (20, 4, 32))
    shape = Shape(
        block=1024 << log_block,
        first=first,
        end=end,
        group_blocks=group_blocks,
        group_inodes=_field(image, "<I", 40),
        groups=-(-(end - first) // max(group_blocks, 1)),
        inode=_field(image, "<H", 88),
        first_inode=_field(image, "<I", 84),
        few_copies=bool(_field(image, "<I", 100) & _FEW_COPIES),
        has_file_types=bool(_field(image, "<I", 96)),
    )
    most = 8 * shape.block  # what a bitmap, which is one block, tells of
    if (
        shape.end * shape.block > len(image)
        or shape.first != (log_block == 0)
        or not 1 <= shape.group_blocks <= most
        or not 1 <= shape.group_inodes <= most
        or shape.inode not in (INODE << power for power in range(6))
        or shape.inode > shape.block
        or not ROOT < shape.first_inode <= shape.group_inodes
        or (shape.first + 1) * shape.block + shape.groups * DESCRIPTOR > shape.end * shape.block
        or _field(image, "<I", 0) != shape.groups * shape.group_inodes
    ):
        raise damaged("its superblock makes no sense, or the image is cut off")
    return shape


def _check_features(image: bytes) -> None:
    revision = _field(image, "<I", 76)
    if revision != _REVISION:
        raise refused(f"it is of revision {revision}")
    compatible, incompatible, read_only = (_field(image, "<I", at) for at in (92, 96, 100))
    if incompatible & _RECOVER:
        raise refused("its journal needs recovery")
    unknown = (compatible & ~_COMPATIBLE, incompatible & ~_INCOMPATIBLE, read_only & ~_READ_ONLY)
    if any(unknown):
        bits = ", ".join(f"{each:#x}" for each in unknown)
        raise refused(f"it has features of ext4 or others (bits {bits})")


def _field(image: bytes, kind: str, at: int) -> int:
    (value,) = struct.unpack_from(kind, image, SUPERBLOCK + at)
    return int(value)
