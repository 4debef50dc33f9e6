"""A layout's files as keys and values, for xenstore and guest properties.

The keys stand below a prefix that each provider chooses, and are of xenstore's alphabet:

``format``
    ``1``.
``nonce``
    The start nonce, outside the digest as ``ims.nonce`` is on a medium. It is written last; so a
    reader reads it, then the chunks, then it again, and begins anew if it changed.
``chunks``
    How many chunks there are, in decimal.
``chunk/0000``, ``chunk/0001``, …
    Consecutive pieces of base64 (RFC 4648, section 4; no line breaks) of a gzip-compressed ustar
    archive of the files. All are printable ASCII.

A shell reads it by ``base64 -d | gzip -d | tar -x``; ``docs/context-values.md`` shows how.
"""

from __future__ import annotations

import binascii
import gzip
import io
import tarfile
import zlib
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from ims_bootparams.digest import check_media_name
from ims_bootparams.media.tree import check_files, check_image
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.models import CarrierLimits

__all__ = ["FORMAT", "from_values", "to_values"]

FORMAT = "1"
_MOST_UNPACKED = 72 * 1024 * 1024  # what a context may have, and room for the archive's headers
_MOST_CHUNKS = 10_000


def to_values(files: Mapping[str, bytes], nonce: str, limits: CarrierLimits) -> Mapping[str, str]:
    """The values by key, in the order in which they are to be written.

    Args:
        files: Content by name, without the nonce.
        nonce: Of this start.
        limits: Of the provider's carrier: the bytes of one value, and of all keys and values.

    Raises:
        InvalidError: A name cannot be carried, or ``context-too-large``.
    """
    check_files(files, None)
    text = b64encode(_packed(files)).decode("ascii")
    size = limits.max_value_bytes
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    values = {
        "format": FORMAT,
        "chunks": str(len(chunks)),
        **{f"chunk/{number:04}": chunk for number, chunk in enumerate(chunks)},
        "nonce": nonce,
    }
    check_image(
        files, sum(len(key) + len(value) for key, value in values.items()), limits.max_bytes
    )
    return values


def from_values(values: Mapping[str, str]) -> tuple[dict[str, bytes], str]:
    """The inverse of :func:`to_values`: the files and the nonce. The values may be hostile.

    Raises:
        InvalidError: They are not of this form.
    """
    if values.get("format") != FORMAT:
        raise InvalidError(f"context values: format {values.get('format')!r} is not known")
    count = values.get("chunks", "")
    if not (count.isascii() and count.isdecimal() and int(count) <= _MOST_CHUNKS):
        raise InvalidError(f"context values: chunks {count[:20]!r} is not a count")
    names = [f"chunk/{number:04}" for number in range(int(count))]
    if missing := [name for name in (*names, "nonce") if name not in values]:
        raise InvalidError(f"context values: {missing[0]} is missing")
    try:
        packed = b64decode("".join(values[name] for name in names), validate=True)
        return _unpacked(packed), values["nonce"]
    except (binascii.Error, zlib.error, tarfile.TarError, ValueError, EOFError) as error:
        raise InvalidError(f"context values: the chunks are damaged: {error}") from None


def _packed(files: Mapping[str, bytes]) -> bytes:
    """The archive; equal files give equal bytes."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o400
            tar.addfile(member, io.BytesIO(files[name]))
    return gzip.compress(archive.getvalue(), mtime=0)


def _unpacked(packed: bytes) -> dict[str, bytes]:
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # with a gzip header
    archive = inflate.decompress(packed, _MOST_UNPACKED)
    if not inflate.eof or inflate.unused_data:
        raise ValueError("no whole gzip stream, or larger than any context")
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        for member in tar:
            check_media_name(member.name)
            content = tar.extractfile(member) if member.isreg() else None
            if content is None or member.name in files:
                raise ValueError(f"{member.name!r} is no plain file, or comes twice")
            files[member.name] = content.read()
    return files
