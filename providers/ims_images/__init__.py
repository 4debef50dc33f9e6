"""Disk images that providers make VMs from: fetch them, prove them, refuse the dangerous ones.

Shared by the providers; needs nothing but the standard library, :mod:`ims_core.errors` and, for the
XML in an OVA, defusedxml. The names below are loaded when they are first used, so that importing
this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ims_images._cache import private_directory
    from ims_images.bundle import Bundle, Member, read_bundle
    from ims_images.conversion import best_format, convert
    from ims_images.digest import Progress, check_digest, file_digest
    from ims_images.fetch import fetch
    from ims_images.inspect import ImageInfo, inspect_image

__all__ = [
    "Bundle",
    "ImageInfo",
    "Member",
    "Progress",
    "best_format",
    "check_digest",
    "convert",
    "fetch",
    "file_digest",
    "inspect_image",
    "private_directory",
    "public_url",
    "read_bundle",
]

_HOMES = {
    "Bundle": "ims_images.bundle",
    "ImageInfo": "ims_images.inspect",
    "Member": "ims_images.bundle",
    "Progress": "ims_images.digest",
    "best_format": "ims_images.conversion",
    "check_digest": "ims_images.digest",
    "convert": "ims_images.conversion",
    "fetch": "ims_images.fetch",
    "file_digest": "ims_images.digest",
    "inspect_image": "ims_images.inspect",
    "private_directory": "ims_images._cache",
    "public_url": "ims_images._url",
    "read_bundle": "ims_images.bundle",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
