"""Virtual hard disks of Virtual PC and Hyper-V, as the VHD specification 1.0 has them.

Where it leaves room, the limits are those of QEMU's block/vpc.c. The disk has the size that the
footer states ("Current Size") and not that of its geometry, which some programs round down.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from ims_images._file import shown

if TYPE_CHECKING:
    from ims_images._file import ImageFile

__all__ = ["check", "recognize"]

_SECTOR = 512
_COOKIE = b"conectix"
_FOOTER = struct.Struct(">12xIQ24xQ4xII")
_CHECKSUM_AT = 64
_HEADER_COOKIE = b"cxsparse"
_HEADER = struct.Struct(">8s8xQIII")
_HEADER_LENGTH = 1024
_HEADER_CHECKSUM_AT = 36
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_VERSION = 1
_MAX_SECTORS = 0xFF00_0000
"""2040 GiB, the most that the format can hold."""
_MAX_ENTRIES = 1 << 24
"""Of the block allocation table: 2040 GiB in blocks of 512 KiB are 4 million."""
_UNUSED = 0xFFFF_FFFF


class _Footer(NamedTuple):
    version: int
    header_offset: int
    size: int
    kind: int
    checksum: int


def recognize(image: ImageFile) -> bool:
    """Whether the file begins or ends as a VHD; a fixed one has its mark only at the end."""
    if image.size < _SECTOR:
        return False
    places = (0, image.size - _SECTOR)
    return any(image.read(place, len(_COOKIE), "its footer") == _COOKIE for place in places)


def check(image: ImageFile) -> int:
    """Prove the image whole and self-contained; return the size of its disk.

    Raises:
        ImageError: See :func:`ims_images.inspect_image`.
    """
    dynamic = image.read(0, len(_COOKIE), "its start") == _COOKIE
    end = image.size - _SECTOR
    if image.read(end, len(_COOKIE), "its footer") != _COOKIE:
        raise image.truncated("its footer")
    footer = _footer(image, end)
    if footer.kind == _DIFFERENCING:
        raise image.error(
            "image-has-backing-file",
            "is a differencing VHD, which needs its parent; IMS never opens that: merge both "
            "where they are",
            fix=f"Convert-VHD {shown(image.path)} FLAT.vhd (on Windows; or VBoxManage clonemedium)",
        )
    if footer.kind not in {_FIXED, _DYNAMIC} or dynamic != (footer.kind == _DYNAMIC):
        raise image.corrupt(f"its footer says that it is of type {footer.kind}")
    image.check_disk_size(footer.size)
    if footer.size > _MAX_SECTORS * _SECTOR:
        raise image.corrupt(f"its disk has {footer.size} bytes, more than a VHD can hold")
    if dynamic:
        if _footer(image, 0) != footer:
            raise image.corrupt("its first sector and its footer do not agree")
        _check_blocks(image, footer, end)
    elif footer.size != end:
        raise image.corrupt(f"its disk has {footer.size} bytes, and the file {end} for them")
    return footer.size


def _footer(image: ImageFile, offset: int) -> _Footer:
    sector = image.read(offset, _SECTOR, "its footer")
    footer = _Footer(*_FOOTER.unpack_from(sector))
    if footer.checksum != _checksum(sector, _CHECKSUM_AT):
        raise image.corrupt("the checksum of its footer is wrong")
    if footer.version >> 16 != _VERSION:
        raise image.error(
            "image-format-unknown", f"is VHD version {footer.version >> 16}, and IMS knows 1"
        )
    return footer


def _check_blocks(image: ImageFile, footer: _Footer, end: int) -> None:
    """The dynamic header is right, and each block in use has a place of its own in the file."""
    data = image.read(footer.header_offset, _HEADER_LENGTH, "its dynamic header")
    cookie, table, version, entries, block = _HEADER.unpack_from(data)
    (stated,) = struct.unpack_from(">I", data, _HEADER_CHECKSUM_AT)
    if cookie != _HEADER_COOKIE or stated != _checksum(data, _HEADER_CHECKSUM_AT):
        raise image.corrupt("its dynamic header has a wrong mark or checksum")
    if version >> 16 != _VERSION:
        raise image.corrupt(f"its dynamic header is of version {version >> 16}")
    if block < _SECTOR or block & (block - 1):
        raise image.corrupt(f"its blocks are of {block} bytes")
    if entries * block < footer.size:
        raise image.corrupt("its block allocation table is too small for its disk")
    if entries > _MAX_ENTRIES:
        raise image.error(
            "image-too-large",
            f"has a block allocation table of {entries} entries, more than IMS checks",
            fix=f"qemu-img convert -f vpc -O qcow2 {shown(image.path)} NEW.qcow2",
        )
    bitmap = -(-block // _SECTOR // 8 // _SECTOR) * _SECTOR
    seen: set[int] = set()
    for words in image.words(table, entries, "its block allocation table", kind="I"):
        if min(words) == _UNUSED:
            continue
        used = [place for place in words if place != _UNUSED]
        if max(used) * _SECTOR + bitmap + block > end:
            raise image.truncated("a block of data")
        before = len(seen)
        seen.update(used)
        if len(seen) != before + len(used):
            raise image.corrupt("two blocks of its disk have the same place in the file")


def _checksum(data: bytes, place: int) -> int:
    """The ones' complement of the sum of all bytes but the checksum's own four."""
    return ~(sum(data) - sum(data[place : place + 4])) & 0xFFFF_FFFF
