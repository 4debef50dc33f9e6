"""Media: images that hold a layout's files, made or changed in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_bootparams.media.existing import put_files
from ims_bootparams.media.ext2 import build_ext2
from ims_bootparams.media.fat import build_fat
from ims_bootparams.media.iso import build_iso
from ims_core.models import Carrier

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["build", "put_files"]

_BUILDERS = {
    Carrier.ISO: build_iso,
    Carrier.FAT_DISK: build_fat,
    Carrier.EXT2_DISK: build_ext2,
}


def build(
    carrier: Carrier,
    files: Mapping[str, bytes],
    label: str,
    *,
    limit: int | None = None,
    serial: str = "",
) -> bytes:
    """The whole image of a medium. Equal arguments give equal bytes; the clock has no part in them.

    The environment's ``SOURCE_DATE_EPOCH``, if there is one, dates the image; else it is 1980.

    Args:
        carrier: One that is a medium.
        files: Content by name; a name may have directories.
        label: The volume's label; on FAT it is in upper case.
        limit: The most bytes that the image may have.
        serial: The start nonce. It is also written where a reader finds it without mounting the
            image, so that a watcher notices another medium by its first blocks alone.

    Raises:
        InvalidError: A name or the label cannot be carried, two names differ only by case, a name
            is both a file and a directory, or the image would be larger than ``limit``.
    """
    return _BUILDERS[carrier](files, label, limit=limit, serial=serial)
