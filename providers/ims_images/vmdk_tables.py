"""The grains of a VMDK image: every place that its tables name must lie in the file.

See "Hosted Sparse Extent" and "Stream-Optimized Compressed Sparse Extents" of the specification.
Each table is read once, however many entries of the directory point at it, so the work is bounded
by what the file really holds.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ims_images._file import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ims_images._file import ImageFile
    from ims_images.vmdk import Header

__all__ = ["check_grains"]

_SECTOR = 512
_MAX_DIRECTORY = 1 << 22
"""Entries: 128 TiB in grains of the usual 64 KiB."""
_ZEROED = 1
_GRAIN_MARKER = struct.Struct("<QI")


def check_grains(image: ImageFile, header: Header) -> None:
    """Walk the directory, its copy, and the tables.

    Args:
        image: The file.
        header: Its header, already checked; of a stream, the one in its footer.

    Raises:
        ImageError: ``image-truncated``, ``image-corrupt`` or ``image-too-large``.
    """
    length = -(-header.capacity // (header.table_entries * header.grain))
    if length > _MAX_DIRECTORY:
        raise image.error(
            "image-too-large",
            f"has a grain directory of {length} entries, more than IMS checks",
            fix=f"qemu-img convert -f vmdk -O qcow2 {shown(image.path)} NEW.qcow2",
        )
    for directory in header.directories[1:]:  # QEMU reads the copy of the directory, and no more
        image.check_range(directory * _SECTOR, length * 4, "a copy of its grain directory")
    if not header.directory:
        raise image.corrupt("it has no grain directory")
    known: set[int] = set()
    for tables in image.words(
        header.directory * _SECTOR, length, "its grain directory", kind="I", order="little"
    ):
        if any(tables):
            for table in tables:
                if table and table not in known:
                    known.add(table)
                    _check_table(image, header, table)


def _check_table(image: ImageFile, header: Header, table: int) -> None:
    (grains,) = image.words(
        table * _SECTOR, header.table_entries, "a grain table", kind="I", order="little"
    )
    if header.compressed:
        _check_packed(image, header, grains)
    elif max(grains) + header.grain > image.size // _SECTOR:
        raise image.truncated("a grain of data")


def _check_packed(image: ImageFile, header: Header, grains: Iterable[int]) -> None:
    """Packed grains are there as far as the marker before each says that it goes."""
    most = 2 * header.grain * _SECTOR - _GRAIN_MARKER.size  # what QEMU reads
    for grain in grains:
        if not grain or (grain == _ZEROED and header.zeroed):
            continue
        marker = image.read(grain * _SECTOR, _GRAIN_MARKER.size, "a grain of data")
        _sector, length = _GRAIN_MARKER.unpack(marker)
        if not 0 < length <= most:
            raise image.corrupt(f"a grain of its data is packed in {length} bytes")
        image.check_range(grain * _SECTOR + _GRAIN_MARKER.size, length, "a grain of data")
