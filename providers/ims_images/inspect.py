"""What an image file is, and whether a VM may be made from it.

The file may come from anywhere, so nothing in it is believed: no name in it is opened, every
offset is compared with the size of the file, and work and memory are bounded. What is accepted
is self-contained and whole.

The answer holds for the bytes as they are now. Inspect the file that will be used, in a place
where others cannot write, and tell the hypervisor the format found here: a guest can write the
header of another format into a raw disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_images import bundle, formats, ova
from ims_images._file import ImageFile, printable, shown
from ims_images.digest import no_progress

if TYPE_CHECKING:
    from pathlib import Path

    from ims_images.digest import Progress

__all__ = ["ImageInfo", "inspect_image"]

_KINDS = {
    **{name: disk.words for name, disk in formats.DISKS.items()},
    "ova": "a tar archive, as OVA files are",
    "ovm-template": "a tar archive packed by gzip, as Oracle VM templates are",
    formats.RAW: "a raw disk",
}
_ARCHIVES = {"ova": ova.check, "ovm-template": bundle.check}


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """A sound image.

    Attributes:
        format: ``qcow2``, ``raw``, ``vmdk``, ``vdi``, ``vhd``; or an archive, ``ova``, or
            ``ovm-template`` (see :mod:`ims_images.bundle`).
        size: Of the file, in bytes.
        virtual_size: Of the disk that the guest sees, in bytes; of an ``ovm-template``, its
            ``System.img``.
    """

    format: str
    size: int
    virtual_size: int


def inspect_image(path: Path, *, declared: str = "", progress: Progress = no_progress) -> ImageInfo:
    """Recognize an image and prove that it is whole and refers to nothing outside itself.

    Args:
        path: A regular file.
        declared: One of the formats of :class:`ImageInfo` when the caller knows it; then anything
            else is refused. An ISO 9660 medium is accepted only when it is declared ``raw``.
        progress: Called with the bytes that were read and those in all while an archive is read,
            which takes its time; what it raises ends the work.

    Raises:
        ImageError: The image must not be used. Codes: ``image-not-readable``, ``image-empty``,
            ``image-truncated``, ``image-corrupt``, ``image-dirty``, ``image-too-large``,
            ``image-size-unaligned``, ``image-has-backing-file``, ``image-has-data-file``,
            ``image-encrypted``, ``image-format-unknown``, ``image-format-unsupported``,
            ``image-format-mismatch``, ``image-member-missing``, ``image-member-unsafe``.
    """
    with ImageFile(path) as image:
        if declared not in {"", *_KINDS}:
            raise image.error(
                "image-format-unknown",
                f"is declared as {printable(declared)!r}, which IMS does not read; declare one of "
                f"{', '.join(_KINDS)}, or nothing at all",
            )
        if not image.size:
            raise image.error("image-empty", "is an empty file; download or copy it again")
        found = _recognize(image)
        if declared and declared != found:
            what = f"not {_KINDS[declared]}" if found == formats.RAW else _KINDS[found]
            raise image.error(
                "image-format-mismatch",
                f"is declared as {declared}, but is {what}; declare what it is, or nothing at all",
                fix=f"file {shown(path)}",
            )
        if found in _ARCHIVES:
            virtual = _ARCHIVES[found](image, progress)
        else:
            virtual = formats.check(image, found, allow_iso=declared == formats.RAW)
        return ImageInfo(found, image.size, virtual)


def _recognize(image: ImageFile) -> str:
    """The format by the file's marks; what has no mark of its own counts as raw."""
    if bundle.recognize(image):
        return "ovm-template"
    return "ova" if ova.recognize(image) else formats.recognize(image)
