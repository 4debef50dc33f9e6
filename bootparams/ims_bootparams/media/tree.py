"""What every medium asks of the files it is to hold, before any of it is built."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ims_bootparams.digest import check_media_name
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_files", "check_image", "directories_of", "epoch"]

_DEFAULT_EPOCH = 315532800  # 1980-01-01, the first day that FAT knows too
_LAST_EPOCH = 4294967295  # of ext2's clock, in 2106; the others go on a little longer


def check_files(files: Mapping[str, bytes], limit: int | None) -> None:
    """Refuse files that some medium could not hold as they are.

    Args:
        files: Content by name.
        limit: The most bytes that the image may have.

    Raises:
        InvalidError: A name cannot be carried, two differ only by case, one is both a file and a
            directory, or the contents alone are larger than ``limit``.
    """
    seen: dict[str, str] = {}
    for name in files:
        check_media_name(name)
        for each in (*_parents(name), name):
            other = seen.setdefault(each.lower(), each)
            if other != each:
                raise InvalidError(
                    f"medium file {each!r}: it differs from {other!r} only by case",
                    code="invalid-media-name",
                    hint="Rename one of them: FAT and Joliet could not tell them apart.",
                )
    for name in directories_of(files):
        if name in files:
            raise InvalidError(
                f"medium file {name!r}: it is also a directory", code="invalid-media-name"
            )
    check_image(files, sum(map(len, files.values())), limit)


def check_image(files: Mapping[str, bytes], size: int, limit: int | None) -> None:
    """Refuse an image of ``size`` bytes that is larger than ``limit``, naming its largest file."""
    if limit is None or size <= limit:
        return
    largest = max(files, key=lambda name: len(files[name]), default="")
    content = len(files[largest]) if largest else 0
    raise InvalidError(
        f"the context is too large: {size} bytes, and this carrier holds {limit}",
        code="context-too-large",
        hint=f"The largest part is {largest} with {content} bytes; let the guest fetch it.",
    )


def directories_of(files: Mapping[str, bytes]) -> list[str]:
    """Every directory that the names need, parents before their children; the root is not there."""
    return sorted({parent for name in files for parent in _parents(name)})


def epoch() -> int:
    """The date of everything: ``SOURCE_DATE_EPOCH`` if it is set, else 1980; seconds since 1970.

    Raises:
        InvalidError: ``SOURCE_DATE_EPOCH`` is no such number.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return _DEFAULT_EPOCH
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > _LAST_EPOCH:
        raise InvalidError(f"SOURCE_DATE_EPOCH: {text!r} is not a number of seconds since 1970")
    return int(text)


def _parents(name: str) -> list[str]:
    return [name[:end] for end, character in enumerate(name) if character == "/"]
