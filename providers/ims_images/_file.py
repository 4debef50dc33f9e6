"""A file that may be hostile, read by absolute offset and never beyond a budget.

Nothing is mapped into memory, because a file that shrinks under a mapping kills the process.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ims_core.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

__all__ = ["ImageFile", "Part", "printable", "shown"]

READ_BUDGET = 1 << 30
"""Most bytes of metadata one image may make us read.

qcow2 spends 8 bytes of table per cluster, so even an image of 64 GiB with the smallest clusters,
512 bytes, stays below it; a sparse file that claims terabytes of tables does not.
"""

MAX_DISK_SIZE = 64 << 40
"""64 TiB; more is an attack or a mistake."""

_SECTOR = 512
_CHUNK = 1 << 19
_LONGEST_SHOWN = 200


def printable(text: str) -> str:
    """The text for a person's terminal: control characters escaped, and not endless."""
    clean = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return clean if len(clean) <= _LONGEST_SHOWN else clean[:_LONGEST_SHOWN] + "…"


def shown(path: Path) -> str:
    """The path as a shell would need it, so that a command in a message can be pasted."""
    name = str(path)
    return shlex.quote(name if name.isprintable() else ascii(name)[1:-1])


class ImageFile:
    """A regular file, open for reading; a context manager.

    Args:
        path: Symbolic links are followed: the caller chose the path, the file did not.

    Raises:
        ImageError: ``image-not-readable``, when it is not a regular file we may read.
    """

    def __init__(self, path: Path) -> None:
        """Open it; a FIFO or a device does not make us wait."""
        self.path = path
        self._left = READ_BUDGET
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise self.error("image-not-readable", f"cannot be opened: {reason}") from error
        status = os.fstat(self._fd)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise self.error("image-not-readable", "is not a regular file; give a disk image file")

    def __enter__(self) -> Self:
        """The file itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)

    def error(self, code: str, problem: str, *, fix: str = "") -> ImageError:
        """An error about this file; ``fix`` is a command or a sentence for the hint."""
        return ImageError(f"image {shown(self.path)} {problem}", code=code, hint=fix)

    def truncated(self, what: str) -> ImageError:
        """The file ends before something that it must contain."""
        return self.error(
            "image-truncated",
            f"is cut short: {what} lies beyond the end of the file; download or copy it again",
            fix="download or copy the image again, and give its digest with --sha256",
        )

    def corrupt(self, problem: str) -> ImageError:
        """A field has a value that no good image has."""
        return self.error(
            "image-corrupt",
            f"is damaged: {problem}; take a fresh copy, or rewrite it from its source",
            fix=f"qemu-img check {shown(self.path)}",
        )

    def check_range(self, offset: int, length: int, what: str) -> None:
        """Refuse a part that does not lie in the file."""
        if offset + length > self.size:
            raise self.truncated(what)

    def check_disk_size(self, size: int) -> None:
        """Refuse a disk that is empty, absurdly large, or not made of whole sectors."""
        if not size:
            raise self.error(
                "image-empty", "holds a disk of 0 bytes; there is nothing to start from"
            )
        if size > MAX_DISK_SIZE:
            raise self.error(
                "image-too-large",
                f"claims a disk of {size} bytes, more than the 64 TiB that IMS accepts; shrink it",
                fix=f"qemu-img resize --shrink {shown(self.path)} SIZE",
            )
        if size % _SECTOR:
            raise self.error(
                "image-size-unaligned",
                f"holds a disk of {size} bytes, not a whole number of 512-byte sectors; it is cut "
                "short, or is not a disk image",
                fix="download or copy it again, and give its digest with --sha256",
            )

    def read(self, offset: int, length: int, what: str) -> bytes:
        """Exactly ``length`` bytes at ``offset``.

        Raises:
            ImageError: It is not all there, cannot be read, or the budget is spent.
        """
        self.check_range(offset, length, what)
        self._left -= length
        if self._left < 0:
            raise self.error(
                "image-too-large",
                "has more than 1 GiB of tables, which no sound template has; rewrite it with "
                "qemu-img convert",
                fix=f"qemu-img convert -O qcow2 {shown(self.path)} NEW.qcow2",
            )
        return self.pread(offset, length, what)

    def pieces(self) -> Iterator[bytes]:
        """All of it, in order, in pieces of bounded size; nothing of the budget is spent."""
        for start in range(0, self.size, _CHUNK):
            yield self.pread(start, min(_CHUNK, self.size - start), "its content")

    def pread(self, offset: int, length: int, what: str) -> bytes:
        """As :meth:`read`, for content: nothing of the budget is spent."""
        try:
            data = os.pread(self._fd, length, offset)
        except OSError as error:
            raise self.error("image-not-readable", f"cannot be read: {error.strerror}") from error
        if len(data) != length:  # it shrank since it was opened
            raise self.truncated(what)
        return data

    def words(
        self,
        offset: int,
        count: int,
        what: str,
        *,
        kind: Literal["Q", "I"] = "Q",
        order: Literal["big", "little"] = "big",
    ) -> Iterator[array[int]]:
        """A table of words, of 64 bits (``Q``) or 32 (``I``), in pieces of bounded size."""
        length = count * array(kind).itemsize
        self.check_range(offset, length, what)
        end = offset + length
        for start in range(offset, end, _CHUNK):
            yield to_words(self.read(start, min(_CHUNK, end - start), what), kind, order)

    def duplicate(self) -> int:
        """A descriptor of the same open file, for another process; the caller closes it."""
        return os.dup(self._fd)


class Part(ImageFile):
    """A file that lies whole in another, as a member of an archive that is not compressed.

    Args:
        whole: The other, which stays open as long as this is used.
        start: Where it begins.
        size: Its bytes, all of which are in ``whole``.
        name: What it is called there, for messages and for the commands in them.
    """

    def __init__(self, whole: ImageFile, start: int, size: int, name: str) -> None:
        """Nothing is read yet; the part has a budget of its own."""
        self.path = Path(name)
        self.size = size
        self._whole = whole
        self._start = start
        self._left = READ_BUDGET

    def close(self) -> None:
        """Leave it to the whole."""

    def error(self, code: str, problem: str, *, fix: str = "") -> ImageError:
        """An error about the part, in the name of the whole."""
        unpack = f"tar -xf {shown(self._whole.path)}"
        return self._whole.error(
            code,
            f"holds {shown(self.path)}, which {problem}",
            fix=f"{unpack} && {fix}" if fix.startswith("qemu-img ") else fix,
        )

    def pread(self, offset: int, length: int, what: str) -> bytes:
        """The same bytes, where they are in the whole."""
        return self._whole.pread(self._start + offset, length, what)


def to_words(
    data: bytes, kind: Literal["Q", "I"] = "Q", order: Literal["big", "little"] = "big"
) -> array[int]:
    """Words of 64 or 32 bits as numbers."""
    words = array(kind, data)
    if sys.byteorder != order:
        words.byteswap()
    return words
