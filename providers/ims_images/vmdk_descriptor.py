"""The text in a VMDK image that says of which files it consists ("The Descriptor File").

Every name in it is left alone. There has to be exactly one extent, which is the file that the
descriptor was found in, whatever it is called there; and no parent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_images._file import printable, shown

if TYPE_CHECKING:
    from ims_images._file import ImageFile
    from ims_images.vmdk import Header

__all__ = ["check"]

_FIRST_LINE = "# Disk DescriptorFile"
_PARENT_HINT = b"parentfilenamehint"
_NO_PARENT = "ffffffff"
_KINDS = {"monolithicsparse": False, "streamoptimized": True}
_SETTING = re.compile(r'([A-Za-z][\w.]*) *= *(?:"([^"]*)"|([^"]*))')
_EXTENT = re.compile(r'(?:RW|RDONLY) +(\d{1,18}) +SPARSE +"[^"]+"', re.IGNORECASE)


def check(image: ImageFile, data: bytes, header: Header) -> None:
    """Prove that the disk is in this file alone.

    Raises:
        ImageError: It is not, or what the descriptor says cannot be understood.
    """
    # QEMU looks for these letters wherever they stand, even in a comment.
    if _PARENT_HINT in data.lower():
        raise _has_parent(image)
    text = data.partition(b"\0")[0].decode("latin-1")
    if not text.startswith(_FIRST_LINE):
        raise image.corrupt("it has no descriptor")
    settings, extents = _lines(image, text)
    if settings.get("parentcid", "").lower() != _NO_PARENT:
        raise _has_parent(image)
    kind = settings.get("createtype", "")
    if len(extents) != 1 or kind.lower() not in _KINDS:
        raise image.error(
            "image-has-data-file",
            f"is a VMDK of type {printable(kind)!r} with {len(extents)} extents; only one that is "
            "whole in one file, monolithicSparse or streamOptimized, can be read: export it as OVA",
            fix=f"qemu-img convert -f vmdk -O qcow2 {shown(image.path)} FLAT.qcow2 (this reads "
            "those files: only for an image that you trust)",
        )
    if _KINDS[kind.lower()] != header.compressed:
        raise image.corrupt(f"its type is {printable(kind)}, and its header says otherwise")
    extent = _EXTENT.fullmatch(extents[0])
    # The header's size may have been rounded up to a grain.
    if not extent or not 0 <= header.capacity - int(extent[1]) < header.grain:
        raise image.corrupt(f"its extent is {printable(extents[0])!r}, which does not fit it")


def _lines(image: ImageFile, text: str) -> tuple[dict[str, str], list[str]]:
    """The settings by their names in small letters, and the other lines, which are extents."""
    settings: dict[str, str] = {}
    extents: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if setting := _SETTING.fullmatch(line):
            key = setting[1].lower()
            if key in settings:
                raise image.corrupt(f"its descriptor says twice what {printable(key)} is")
            settings[key] = setting[2] or setting[3] or ""
        else:
            extents.append(line)
    return settings, extents


def _has_parent(image: ImageFile) -> Exception:
    return image.error(
        "image-has-backing-file",
        "is a snapshot or a linked clone, which needs the image that it was made of; IMS never "
        "opens that: make one image of both where they are",
        fix=f"vmware-vdiskmanager -r {shown(image.path)} -t 0 FLAT.vmdk",
    )
