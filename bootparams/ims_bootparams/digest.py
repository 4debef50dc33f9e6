r"""The digest of a delivery, and the names that files on a medium may have.

The guest computes the same digest from the bytes it read, with nothing but a shell::

    find . -type f ! -name ims.nonce | LC_ALL=C sort | xargs sha256sum \
        | sed 's|  \./|  |' | sha256sum

That is why the names are restricted: ``find``, ``xargs`` and ``sha256sum`` would quote, split
or escape others. No name on a medium ever comes from a user's text.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LIST_FILE", "NONCE_FILE", "check_media_name", "digest_of", "listed", "names_in"]

NONCE_FILE = "ims.nonce"
"""Holds the start nonce, at the root of a medium; a file outside the digest."""

LIST_FILE = "ims.files"
"""Lists what a delivery put on a disk that has other files as well, a name on each line.

The guest reads these files only, and neither counts it nor the others for the digest; the next
delivery removes them."""

_MAX_COMPONENT = 64  # what Joliet holds
_MAX_DEPTH = 7  # ISO 9660 has eight levels, the root among them
_NAME = re.compile(r"[A-Za-z0-9._/-]+")


def check_media_name(name: str) -> None:
    """Refuse a name that some medium, or the guest's shell, could not carry unchanged.

    Args:
        name: Path relative to the medium's root, such as ``files/0000``.

    Raises:
        InvalidError: It has other characters than letters, digits and ``._/-``, is not in its
            plain form, is too long or too deep, or is the nonce's name below the root.
    """
    parts = name.split("/")
    if not _NAME.fullmatch(name):
        problem = "may hold only letters, digits and ._/-"
    elif any(part in ("", ".", "..") for part in parts):
        problem = "must be a plain relative path, without '..' or empty components"
    elif len(parts) > _MAX_DEPTH or max(map(len, parts)) > _MAX_COMPONENT:
        problem = f"may have {_MAX_DEPTH} components of {_MAX_COMPONENT} characters"
    elif len(parts) > 1 and NONCE_FILE in parts:
        problem = f"may hold {NONCE_FILE} only at its root"
    else:
        return
    raise InvalidError(f"medium file {name!r}: the name {problem}", code="invalid-media-name")


def listed(files: Mapping[str, bytes], nonce: str) -> dict[str, bytes]:
    """What a delivery puts on a disk with other files: its own, the nonce, and their list."""
    found = {**files, NONCE_FILE: f"{nonce}\n".encode()}
    return {**found, LIST_FILE: "".join(f"{name}\n" for name in sorted(found)).encode()}


def names_in(listing: bytes) -> list[str]:
    """The names in a list file, but for what cannot be one: a guest may have written it."""
    found = []
    for line in listing.decode("ascii", errors="replace").splitlines():
        try:
            check_media_name(line)
        except InvalidError:
            continue
        found.append(line)
    return found


def digest_of(files: Mapping[str, bytes]) -> str:
    """The digest of all files but :data:`NONCE_FILE`.

    Args:
        files: Content by name.

    Returns:
        ``sha256:`` and the SHA-256 of the lines ``<sha256 of content>  <name>``, sorted by name.

    Raises:
        InvalidError: A name does not pass :func:`check_media_name`.
    """
    total = hashlib.sha256()
    for name in sorted(files):  # names are ASCII, so this is the byte order of `LC_ALL=C sort`
        check_media_name(name)
        if name != NONCE_FILE:
            total.update(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n".encode())
    return f"sha256:{total.hexdigest()}"
