"""The formats of a disk in one file: how each is recognized and checked, and what QEMU calls it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ims_images import foreign, qcow2, vdi, vhd, vmdk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ims_images._file import ImageFile

__all__ = ["DISKS", "RAW", "check", "recognize"]

RAW = "raw"


class Disk(NamedTuple):
    """A format with a mark of its own.

    Attributes:
        words: What a file of it is, as the end of a sentence.
        recognize: Whether a file bears its mark.
        check: Proves a file sound, and returns the size of its disk.
    """

    words: str
    recognize: Callable[[ImageFile], bool]
    check: Callable[[ImageFile], int]


DISKS: Mapping[str, Disk] = MappingProxyType(
    {
        "qcow2": Disk("a qcow2 image", qcow2.recognize, qcow2.check),
        "vmdk": Disk("a VMDK image", vmdk.recognize, vmdk.check),
        "vdi": Disk("a VDI image", vdi.recognize, vdi.check),
        "vhd": Disk("a VHD image", vhd.recognize, vhd.check),
    }
)


def recognize(image: ImageFile) -> str:
    """The format by the file's marks; what has none counts as raw."""
    return next((name for name, disk in DISKS.items() if disk.recognize(image)), RAW)


def check(image: ImageFile, found: str, *, allow_iso: bool = False) -> int:
    """Prove a disk of the format found sound; return its size.

    Raises:
        ImageError: See :func:`ims_images.inspect_image`.
    """
    if found != RAW:
        return DISKS[found].check(image)
    foreign.refuse_foreign(image, allow_iso=allow_iso)
    image.check_disk_size(image.size)
    return image.size
