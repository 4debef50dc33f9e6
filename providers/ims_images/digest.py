"""SHA-256 of image files: written ``sha256:<hex>`` everywhere, read with or without the prefix."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ims_core.errors import ImageError, InvalidError
from ims_images._file import printable, shown

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Progress", "check_digest", "file_digest", "no_progress", "normal_digest"]

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with the bytes done and the bytes in all, None while that is unknown."""

_PREFIX = "sha256:"
_HEX_DIGITS = 64
_BLOCK = 1 << 20


def no_progress(_done: int, _total: int | None) -> None:
    """Tell nobody."""


def file_digest(path: Path, progress: Progress = no_progress) -> str:
    """The digest of a file's bytes, as ``sha256:<hex>``.

    Args:
        path: The file.
        progress: Called after each mebibyte; what it raises ends the work.

    Raises:
        ImageError: ``image-not-readable``.
    """
    digest = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK))
    done = 0
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        total = os.fstat(file.fileno()).st_size
        while True:
            try:
                length = file.readinto(block) or 0
            except OSError as error:
                raise _unreadable(path, error) from error
            if not length:
                return _PREFIX + digest.hexdigest()
            digest.update(block[:length])
            done += length
            progress(done, total)


def _unreadable(path: Path, error: OSError) -> ImageError:
    return ImageError(
        f"image {shown(path)} cannot be read: {error.strerror}", code="image-not-readable"
    )


def normal_digest(text: str) -> str:
    """A digest that a user gave, as ``sha256:<lower-case hex>``.

    Raises:
        InvalidError: It is not the SHA-256 of anything.
    """
    digest = text.strip().lower().removeprefix(_PREFIX)
    if len(digest) == _HEX_DIGITS and set(digest) <= set("0123456789abcdef"):
        return _PREFIX + digest
    raise InvalidError(
        f"--sha256 must be 64 hexadecimal digits, with or without 'sha256:' before them, not "
        f"{printable(text)!r} ({len(digest)} characters)",
        code="invalid-digest",
        hint="sha256sum prints the digest of a file; publishers list it in SHA256SUMS",
    )


def check_digest(expected: str, actual: str) -> None:
    """Compare a digest that a user gave with one that was computed.

    Args:
        expected: ``sha256:<hex>`` or bare hex, in either case.
        actual: Likewise.

    Raises:
        InvalidError: ``invalid-digest`` when ``expected`` is none, or ``image-digest-mismatch``.
    """
    wanted, found = normal_digest(expected), normal_digest(actual)
    if wanted != found:
        raise InvalidError(
            f"the image has digest {found}, but --sha256 says {wanted}",
            code="image-digest-mismatch",
            hint="the image was changed or damaged on its way, or --sha256 is of another version",
        )
