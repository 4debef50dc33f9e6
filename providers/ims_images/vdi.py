"""VirtualBox disk images, VDI 1.1.

As VirtualBox's src/VBox/Storage/VDICore.h declares them, within the limits of QEMU's block/vdi.c,
so that an image accepted here is one that QEMU opens.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from ims_images._file import shown

if TYPE_CHECKING:
    from ims_images._file import ImageFile

__all__ = ["check", "recognize"]

_MAGIC_AT, _MAGIC = 64, b"\x7f\x10\xda\xbe"
_HEADER = struct.Struct("<4xI4xI4x256xII12xI4xQIII4x32x16s16s")
_VERSION = 0x0001_0001
_DYNAMIC, _FIXED = 1, 2
_OTHER_TYPES = {3: "an undo image", 4: "a differencing image"}
_SECTOR = 512
_BLOCK = 1 << 20
_UNUSED = 0xFFFF_FFFE
"""The least of two words: a block that was never written, and one that was discarded."""


class _Header(NamedTuple):
    version: int
    kind: int
    map_offset: int
    data_offset: int
    sector_size: int
    disk_size: int
    block_size: int
    block_extra: int
    blocks: int
    link: bytes
    parent: bytes


def recognize(image: ImageFile) -> bool:
    """Whether the file begins as a VDI, of whichever version."""
    start = image.read(0, min(_MAGIC_AT + len(_MAGIC), image.size), "its start")
    return start[_MAGIC_AT:] == _MAGIC


def check(image: ImageFile) -> int:
    """Prove the image whole and self-contained; return the size of its disk.

    Raises:
        ImageError: See :func:`ims_images.inspect_image`.
    """
    header = _Header(*_HEADER.unpack(image.read(_MAGIC_AT, _HEADER.size, "its header")))
    if header.version != _VERSION:
        raise image.error(
            "image-format-unknown",
            f"is VDI version {header.version >> 16}.{header.version & 0xFFFF}, and IMS knows 1.1; "
            "rewrite it with VirtualBox",
            fix=f"VBoxManage clonemedium {shown(image.path)} NEW.vdi",
        )
    if header.kind in _OTHER_TYPES or any(header.link) or any(header.parent):
        what = _OTHER_TYPES.get(header.kind, "a differencing image")
        raise image.error(
            "image-has-backing-file",
            f"is {what}, which needs another one; make one image of both where they are",
            fix=f"VBoxManage clonemedium {shown(image.path)} FLAT.vdi",
        )
    if header.kind not in {_DYNAMIC, _FIXED}:
        raise image.corrupt(f"its type is {header.kind}")
    image.check_disk_size(header.disk_size)
    if header.map_offset % _SECTOR or header.data_offset % _SECTOR:
        raise image.corrupt("its block map or its data do not start at a sector")
    if (header.sector_size, header.block_size, header.block_extra) != (_SECTOR, _BLOCK, 0):
        raise image.corrupt("its sectors are not of 512 bytes, or its blocks not of 1 MiB")
    if header.blocks != -(-header.disk_size // _BLOCK):
        raise image.corrupt(f"it claims {header.blocks} blocks for {header.disk_size} bytes")
    if header.map_offset < _MAGIC_AT + _HEADER.size:
        raise image.corrupt("its block map lies in its header")
    map_end = header.map_offset + -(-header.blocks * 4 // _SECTOR) * _SECTOR  # QEMU reads sectors
    image.check_range(0, map_end, "its block map")
    if header.data_offset < map_end:
        raise image.corrupt("its data begin in its block map")
    _check_map(image, header)
    return header.disk_size


def _check_map(image: ImageFile, header: _Header) -> None:
    """Each block in use has a place of its own in the file."""
    places = max(image.size - header.data_offset, 0) // _BLOCK + 1
    seen = bytearray(places)
    for words in image.words(
        header.map_offset, header.blocks, "its block map", kind="I", order="little"
    ):
        if min(words) < _UNUSED:
            for place in words:
                if place >= _UNUSED:
                    continue
                image.check_range(header.data_offset + place * _BLOCK, _BLOCK, "a block of data")
                if seen[place]:
                    raise image.corrupt("two blocks of its disk have the same place in the file")
                seen[place] = 1
