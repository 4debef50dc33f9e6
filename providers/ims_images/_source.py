"""The bytes of an archive in order, whether they are compressed (:mod:`._gunzip`) or plain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ims_images._file import ImageFile
    from ims_images.digest import Progress

__all__ = ["Plain", "Source"]

_PIECE = 1 << 20


class Source(ABC):
    """Where an archive is read from.

    Args:
        image: The file.
        progress: Called with the bytes of the file that were read, and its size; what it raises
            ends the work.
    """

    def __init__(self, image: ImageFile, progress: Progress) -> None:
        """Begin at the start."""
        self.image = image
        self._progress = progress

    @abstractmethod
    def some(self, most: int) -> bytes:
        """At least 1 byte and at most ``most``, or a mebibyte; none at the end of a whole file.

        Raises:
            ImageError: ``image-corrupt``, ``image-truncated``, ``image-not-readable``.
        """

    def exactly(self, length: int) -> bytes:
        """The next ``length`` bytes, which must be few.

        Raises:
            ImageError: As :meth:`some`; also ``image-truncated`` when there are fewer.
        """
        data = b""
        while len(data) < length:
            more = self.some(length - len(data))
            if not more:
                raise self.image.truncated("the end of the archive in it")
            data += more
        return data


class Plain(Source):
    """A file as it is.

    Attributes:
        position: Where the next byte lies in the file.
    """

    position = 0

    def some(self, most: int) -> bytes:
        """The next bytes."""
        length = min(most, _PIECE, self.image.size - self.position)
        data = self.image.pread(self.position, length, "the archive in it")
        self.position += length
        self._progress(self.position, self.image.size)
        return data

    def skip(self, length: int) -> None:
        """Pass over bytes that are there."""
        self.image.check_range(self.position, length, "the end of a member")
        self.position += length
