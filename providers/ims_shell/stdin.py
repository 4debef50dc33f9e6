"""What a script reads, in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_core.spi import Progress

__all__ = ["pieces", "pieces_of"]

_PIECE = 64 * 2**10


def pieces(data: bytes) -> Iterator[bytes]:
    """All of it."""
    return (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))


def pieces_of(source: BinaryIO, size: int, progress: Progress) -> Iterator[bytes]:
    """The next ``size`` bytes of a file; ``progress`` is told when a piece was sent.

    Raises:
        InvalidError: ``file-too-short``.
    """
    done = 0
    while done < size:
        piece = source.read(min(_PIECE, size - done))
        if not piece:
            raise InvalidError(
                f"a file ended after {done} of {size} bytes while it was sent",
                code="file-too-short",
                hint="does another program write to it?",
            )
        yield piece
        done += len(piece)
        progress(done, size)
