"""A file that is one gzip member and nothing else (RFC 1952), decompressed as it is read.

gzip and zlib go on with a second member, or pass over what follows the first; so that all
programs read the same from it, a file with anything after its first member is refused.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from ims_images._file import shown
from ims_images._source import Source

if TYPE_CHECKING:
    from ims_core.errors import ImageError
    from ims_images._file import ImageFile
    from ims_images.digest import Progress

__all__ = ["Gunzip", "first_bytes"]

_GZIP = 16 + zlib.MAX_WBITS  # the gzip header and no other; its checksum and length are checked
_HEAD = 64 * 1024
_PIECE = 1 << 20


def first_bytes(image: ImageFile, length: int) -> bytes:
    """What the file begins with once it is decompressed; nothing if it is not gzip."""
    head = image.read(0, min(_HEAD, image.size), "its start")
    try:
        return zlib.decompressobj(_GZIP).decompress(head, length)
    except zlib.error:
        return b""


class Gunzip(Source):
    """The decompressed bytes, in order; see the base class."""

    def __init__(self, image: ImageFile, progress: Progress) -> None:
        """Begin at the start."""
        super().__init__(image, progress)
        self._packed = image.pieces()
        self._taken = 0
        self._inflater = zlib.decompressobj(_GZIP)

    def some(self, most: int) -> bytes:
        """The next bytes."""
        while not self._inflater.eof:
            packed = self._inflater.unconsumed_tail or self._next()
            try:
                data = self._inflater.decompress(packed, min(most, _PIECE))
            except zlib.error as error:
                raise self._corrupt("its compressed data or their checksum are wrong") from error
            self._progress(self._taken, self.image.size)
            if data:
                return data
            if not packed and not self._inflater.eof:
                raise self.image.truncated("the end of its compressed data")
        if self._inflater.unused_data or self._next():
            raise self._corrupt("more follows the end of its compressed data")
        return b""

    def _next(self) -> bytes:
        packed = next(self._packed, b"")
        self._taken += len(packed)
        return packed

    def _corrupt(self, problem: str) -> ImageError:
        return self.image.error(
            "image-corrupt",
            f"is damaged: {problem}; take a fresh copy",
            fix=f"gzip -tv {shown(self.image.path)}",
        )
