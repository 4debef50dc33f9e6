"""VMDK images in one file: the hosted sparse extent of the "Virtual Disk Format 1.1" of VMware.

Its two kinds are monolithicSparse and streamOptimized. Where the specification leaves room, the
limits are those of QEMU's block/vmdk.c, so that an image accepted here is one that QEMU opens; and
the descriptor has to be where QEMU looks for it, so that both read the same.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from ims_images import vmdk_descriptor
from ims_images._file import shown
from ims_images.vmdk_tables import check_grains

if TYPE_CHECKING:
    from ims_images._file import ImageFile

__all__ = ["Header", "check", "recognize"]

_MAGIC = b"KDMV"
_ESX = b"COWD"
_DESCRIPTOR = b"# Disk DescriptorFile"
_HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")
_SECTOR = 512
_VERSIONS = range(1, 4)
_LINE_ENDS = b"\n \r\n"

_HAS_LINE_ENDS, _HAS_SECOND_TABLES, _HAS_ZEROED = 1, 2, 4
_COMPRESSED, _MARKED = 1 << 16, 1 << 17
_KNOWN = _HAS_LINE_ENDS | _HAS_SECOND_TABLES | _HAS_ZEROED | _COMPRESSED | _MARKED
_DEFLATE = 1

_AT_END = 0xFFFF_FFFF_FFFF_FFFF
_FOOTER_AT = 3 * _SECTOR  # before the end: a marker, the footer, and the marker of the end
_MARKER = struct.Struct("<QII")
_MARKS_FOOTER, _MARKS_END = 3, 0

_DESCRIPTOR_AT = 1
_DESCRIPTOR_LENGTHS = range(1, 129)
_GRAIN_SECTORS = tuple(1 << bit for bit in range(3, 12))
_TABLE_ENTRIES = 512


class Header(NamedTuple):
    """The fields of the sparse extent's header, in sectors where they are sizes or places."""

    magic: bytes
    version: int
    flags: int
    capacity: int
    grain: int
    descriptor: int
    descriptor_length: int
    table_entries: int
    second_directory: int
    directory: int
    overhead: int
    dirty: int
    line_ends: bytes
    compression: int

    @property
    def compressed(self) -> bool:
        """Whether its grains are packed, each after a marker with its length."""
        return bool(self.flags & _COMPRESSED)

    @property
    def zeroed(self) -> bool:
        """Whether entry 1 of a grain table stands for a grain of zeros."""
        return bool(self.flags & _HAS_ZEROED)

    @property
    def directories(self) -> tuple[int, ...]:
        """Where its grain directory is, and its copy if there is one."""
        has_second = self.flags & _HAS_SECOND_TABLES and self.second_directory
        return (self.directory, self.second_directory) if has_second else (self.directory,)


def recognize(image: ImageFile) -> bool:
    """Whether the file begins as any VMDK: a sparse extent, one of ESX, or a descriptor."""
    start = image.read(0, min(len(_DESCRIPTOR), image.size), "its start")
    return start.startswith((_MAGIC, _ESX, _DESCRIPTOR))


def check(image: ImageFile) -> int:
    """Prove the image whole and self-contained; return the size of its disk.

    Raises:
        ImageError: See :func:`ims_images.inspect_image`.
    """
    _refuse_other_kinds(image)
    header = _header(image, 0)
    _check_header(image, header)
    image.check_disk_size(header.capacity * _SECTOR)
    offset, length = header.descriptor * _SECTOR, header.descriptor_length * _SECTOR
    vmdk_descriptor.check(image, image.read(offset, length, "its descriptor"), header)
    check_grains(image, _with_footer(image, header))
    return header.capacity * _SECTOR


def _refuse_other_kinds(image: ImageFile) -> None:
    start = image.read(0, min(len(_DESCRIPTOR), image.size), "its start")
    command = f"qemu-img convert -f vmdk -O qcow2 {shown(image.path)} {shown(image.path)}.qcow2"
    if start.startswith(_ESX):
        raise image.error(
            "image-format-unsupported",
            f"is an ESX sparse extent, a part of a VMDK image; convert it first: {command}",
            fix=command,
        )
    if not start.startswith(_MAGIC):
        raise image.error(
            "image-format-unsupported",
            "is a VMDK descriptor, whose disk is in other files, which IMS never opens; make one "
            f"image of them where they are, if you trust it: {command}",
            fix=command,
        )


def _header(image: ImageFile, offset: int) -> Header:
    return Header(*_HEADER.unpack(image.read(offset, _HEADER.size, "its header")))


def _check_header(image: ImageFile, header: Header) -> None:
    if header.version not in _VERSIONS or header.flags & ~_KNOWN:
        raise image.error(
            "image-format-unknown",
            f"is a VMDK of version {header.version} with flags {header.flags:#x}, which IMS does "
            "not know; rewrite it",
            fix=f"qemu-img convert -f vmdk -O qcow2 {shown(image.path)} NEW.qcow2",
        )
    if header.flags & _HAS_LINE_ENDS and header.line_ends != _LINE_ENDS:
        raise image.corrupt("its line ends were changed, as by a transfer in text mode")
    if header.dirty:
        raise image.error(
            "image-dirty",
            "was not closed properly by what wrote it; shut its VM down, and export it again",
        )
    if bool(header.flags & _COMPRESSED) != bool(header.flags & _MARKED) or (
        header.compressed != (header.compression == _DEFLATE)
    ):
        raise image.corrupt(f"its compression {header.compression} does not fit its flags")
    if header.grain not in _GRAIN_SECTORS or header.table_entries != _TABLE_ENTRIES:
        raise image.corrupt(
            f"its grains have {header.grain} sectors, its tables {header.table_entries} entries"
        )
    image.check_range(0, header.overhead * _SECTOR, "its metadata")
    if header.capacity and (
        header.descriptor != _DESCRIPTOR_AT or header.descriptor_length not in _DESCRIPTOR_LENGTHS
    ):
        raise image.corrupt("its descriptor is not right after its header")


def _with_footer(image: ImageFile, header: Header) -> Header:
    """The header that says where the grains are: of a stream, the one at its end."""
    if header.directory != _AT_END:
        return header
    start = -(-image.size // _SECTOR) * _SECTOR - _FOOTER_AT
    if start < _SECTOR:
        raise image.truncated("its footer")
    _value, size, kind = _MARKER.unpack(image.read(start, _MARKER.size, "its footer"))
    last = _MARKER.unpack(image.read(start + 2 * _SECTOR, _MARKER.size, "its end"))
    footer = _header(image, start + _SECTOR)
    if footer.magic != _MAGIC or (size, kind) != (0, _MARKS_FOOTER) or last != (0, 0, _MARKS_END):
        raise image.truncated("its footer")
    _check_header(image, footer)
    if footer.directory == _AT_END or (footer.capacity, footer.grain, footer.flags) != (
        header.capacity,
        header.grain,
        header.flags,
    ):
        raise image.corrupt("its footer and its header do not agree")
    return footer
