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

from ims_images import foreign, qcow2
from ims_images._file import ImageFile, printable, shown

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ImageInfo", "inspect_image"]


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """A sound image.

    Attributes:
        format: ``qcow2`` or ``raw``.
        size: Of the file, in bytes.
        virtual_size: Of the disk that the guest sees, in bytes.
    """

    format: str
    size: int
    virtual_size: int


def inspect_image(path: Path, *, declared: str = "") -> ImageInfo:
    """Recognize an image and prove that it is whole and refers to nothing outside itself.

    Args:
        path: A regular file.
        declared: ``qcow2`` or ``raw`` when the caller knows it; then anything else is refused.
            An ISO 9660 medium is accepted only when it is declared ``raw``.

    Raises:
        ImageError: The image must not be used. Codes: ``image-not-readable``, ``image-empty``,
            ``image-truncated``, ``image-corrupt``, ``image-dirty``, ``image-too-large``,
            ``image-size-unaligned``, ``image-has-backing-file``, ``image-has-data-file``,
            ``image-encrypted``, ``image-format-unknown``, ``image-format-unsupported``,
            ``image-format-mismatch``.
    """
    with ImageFile(path) as image:
        if declared not in {"", "qcow2", "raw"}:
            raise image.error(
                "image-format-unknown",
                f"is declared as {printable(declared)!r}, which IMS does not read; declare qcow2 "
                "or raw, or nothing at all",
            )
        if not image.size:
            raise image.error("image-empty", "is an empty file; download or copy it again")
        is_qcow2 = qcow2.recognize(image)
        if declared and is_qcow2 != (declared == "qcow2"):
            found = "is a qcow2 image" if is_qcow2 else "has no qcow2 header"
            raise image.error(
                "image-format-mismatch",
                f"is declared as {declared}, but {found}; declare what it is, or nothing at all",
                fix=f"qemu-img info {shown(path)}",
            )
        virtual = qcow2.check(image) if is_qcow2 else _check_raw(image, declared)
        return ImageInfo("qcow2" if is_qcow2 else "raw", image.size, virtual)


def _check_raw(image: ImageFile, declared: str) -> int:
    foreign.refuse_foreign(image, allow_iso=declared == "raw")
    image.check_disk_size(image.size)
    return image.size
