"""Media: images that hold a layout's files, made in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_bootparams.media.iso import build_iso
from ims_core.models import Carrier

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["build"]


def build(
    carrier: Carrier,
    files: Mapping[str, bytes],
    label: str,
    *,
    limit: int | None = None,
    serial: str = "",
) -> bytes:
    """The whole image of a medium.

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
    assert carrier is Carrier.ISO  # noqa: S101 - replaced when the others are there
    del serial
    return build_iso(files, label, limit=limit)
