"""Snapshots and bitmaps of a qcow2 image.

A template does not need them, but QEMU reads both when it opens an image and fails when they
are damaged. See the sections "Snapshots" and "Bitmaps" of QEMU's docs/interop/qcow2.txt.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from ims_images._file import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_images._file import ImageFile
    from ims_images.qcow2 import Header

__all__ = ["Snapshot", "check_bitmaps", "snapshots"]

_SNAPSHOT = struct.Struct(">QIHHIIQII")
_MAX_SNAPSHOTS = 65536
_MAX_EXTRA = 1024
_MAX_L1_BYTES = 32 << 20
"""Of all snapshots together, since hostile ones can all name the same table."""
_DISK_SIZE_AT = 8  # in the extra data, after the 64-bit size of the VM state

_BITMAPS = struct.Struct(">IIQQ")
_BITMAP = struct.Struct(">QIIBBHI")
_MAX_BITMAPS = 65535
_MAX_BITMAP_TABLES_BYTES = 8 << 20
_OFFSET = 0x00FF_FFFF_FFFF_FE00


class Snapshot(NamedTuple):
    """Where the L1 table of a snapshot stands, and the size of the disk at that time."""

    l1_offset: int
    l1_entries: int
    disk_size: int


def _aligned(length: int) -> int:
    return (length + 7) & ~7


def snapshots(image: ImageFile, header: Header) -> Iterator[Snapshot]:
    """The snapshots, each with its table already proved to lie in the file.

    Raises:
        ImageError: The snapshot table is damaged or cut short.
    """
    if header.snapshots > _MAX_SNAPSHOTS:
        raise image.corrupt(f"it claims {header.snapshots} snapshots")
    position = header.snapshots_offset
    if position % header.cluster_size or position >> 63:  # QEMU looks even if there are none
        raise image.corrupt("its snapshot table does not start at a cluster")
    if header.snapshots:
        _check_place(image, header, position, "its snapshot table")
    l1_bytes = 0
    for _ in range(header.snapshots):
        fields = _SNAPSHOT.unpack(image.read(position, _SNAPSHOT.size, "a snapshot"))
        l1_offset, l1_entries, id_length, name_length, *_, extra_length = fields
        if extra_length > _MAX_EXTRA:
            raise image.corrupt(f"a snapshot has {extra_length} bytes of extra data")
        extra = image.read(position + _SNAPSHOT.size, extra_length, "a snapshot")
        length = _SNAPSHOT.size + extra_length + id_length + name_length
        image.check_range(position, length, "a snapshot")
        position += _aligned(length)
        disk_size = header.size
        if extra_length >= _DISK_SIZE_AT + 8:
            (disk_size,) = struct.unpack_from(">Q", extra, _DISK_SIZE_AT)
        l1_bytes += l1_entries * 8
        if l1_bytes > _MAX_L1_BYTES:
            raise _too_large(image, "snapshots")
        _check_place(image, header, l1_offset, "the L1 table of a snapshot")
        yield Snapshot(l1_offset, l1_entries, disk_size)


def check_bitmaps(image: ImageFile, header: Header, extension: bytes) -> None:
    """Prove that the bitmaps lie in the file.

    Args:
        image: The file.
        header: Its header, already checked.
        extension: Data of the bitmaps extension.

    Raises:
        ImageError: They are damaged or cut short.
    """
    if len(extension) != _BITMAPS.size:
        raise image.corrupt("its bitmaps extension has a wrong length")
    count, reserved, length, position = _BITMAPS.unpack(extension)
    if not 0 < count <= _MAX_BITMAPS or reserved:
        raise image.corrupt(f"it claims {count} bitmaps")
    _check_place(image, header, position, "its bitmap directory")
    image.check_range(position, length, "its bitmap directory")
    tables_bytes = 0
    for _ in range(count):
        fields = _BITMAP.unpack(image.read(position, _BITMAP.size, "a bitmap"))
        offset, entries, _flags, _kind, _granularity, name_length, extra_length = fields
        position += _aligned(_BITMAP.size + extra_length + name_length)
        tables_bytes += entries * 8
        if tables_bytes > _MAX_BITMAP_TABLES_BYTES:
            raise _too_large(image, "bitmaps")
        _check_place(image, header, offset, "a bitmap's table")
        for words in image.words(offset, entries, "a bitmap's table"):
            for entry in words:
                if entry & _OFFSET:
                    image.check_range(entry & _OFFSET, header.cluster_size, "a bitmap")
    image.check_range(0, position, "its bitmap directory")


def _too_large(image: ImageFile, what: str) -> Exception:
    return image.error(
        "image-too-large",
        f"has larger tables of {what} than IMS checks; qemu-img convert leaves them out",
        fix=f"qemu-img convert -O qcow2 {shown(image.path)} NEW.qcow2",
    )


def _check_place(image: ImageFile, header: Header, offset: int, what: str) -> None:
    if not offset or offset % header.cluster_size:
        raise image.corrupt(f"{what} does not start at a cluster")
    image.check_range(offset, 1, what)
