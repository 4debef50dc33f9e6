"""The members of a tar archive that may be hostile, compressed or not.

What is read is what every tar program reads alike: the ustar header of POSIX.1 (pax, "ustar
Interchange Format") and GNU tar's, as far as they agree. Extensions by which one program sees
another name or size than the next are refused, among them long names, sparse files, and pax
records but those of times and owners.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ims_images._file import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_core.errors import ImageError
    from ims_images._source import Source

__all__ = ["BLOCK", "Header", "Rules", "Tar", "is_header"]

BLOCK = 512

_MOST_MEMBERS = 64
_MOST_PADDING = 1 << 20  # after the end; GNU tar fills its last record, of 10 KiB as a rule
_LONGEST_PAX = 4096

_NAME = slice(0, 100)
_SIZE = slice(124, 136)
_CHECKSUM = slice(148, 156)
_KIND = slice(156, 157)
_MAGIC = slice(257, 265)
_PREFIX_AND_REST = slice(345, BLOCK)
_NUMBERS = {
    "mode": slice(100, 108),
    "owner": slice(108, 116),
    "group": slice(116, 124),
    "size": _SIZE,
    "time": slice(136, 148),
    "major": slice(329, 337),
    "minor": slice(337, 345),
}
_MAGICS = (b"ustar\x0000", b"ustar  \0")
_OCTAL = re.compile(rb" *[0-7]+[ \0]*")
# GNU tar writes large numbers in binary, after \x80; it reads them if they have 32 or 63 bits.
_NUMBER = re.compile(rb" *[0-7]+[ \0]*|\0+|\x80\0{3}(?:.{4}|[\0-\x7f].{7})", re.DOTALL)
_PAX_RECORD = re.compile(rb"(\d\d) (?:[acm]time=\d{1,11}(?:\.\d{1,20})?|[ug]id=\d{1,9})\n")

_FILE, _FOLDER, _PAX = (b"0", b"\0"), b"5", b"x"
_OTHER_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a FIFO",
    b"S": "a sparse file",
    b"L": "a name of more than 100 bytes",
    b"g": "a global pax header",
}


class Header(NamedTuple):
    """What is said of a member: its path in the archive, and its size in bytes."""

    path: str
    is_folder: bool
    size: int


class Rules(NamedTuple):
    """What an archive is meant to be, in the words of its errors.

    Attributes:
        kind: What one that is wanted is called.
        otherwise: What the archive is when it is none of these.
        advice: What to do then.
        repack: The command whose archives are accepted.
    """

    kind: str
    otherwise: str
    advice: str
    repack: str


def is_header(block: bytes) -> bool:
    """Whether this is a whole tar header, of any kind of member."""
    if (
        len(block) != BLOCK
        or block[_MAGIC] not in _MAGICS
        or not _OCTAL.fullmatch(block[_CHECKSUM])
    ):
        return False
    stated = int(block[_CHECKSUM].strip(b" \0"), 8)
    return stated == sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")


class Tar:
    """An archive, read once from its start to its end.

    Args:
        data: Where it is read from.
        rules: What it is meant to be.
    """

    def __init__(self, data: Source, rules: Rules) -> None:
        """Nothing is read yet."""
        self._data = data
        self._image = data.image
        self._rules = rules

    def members(self) -> Iterator[tuple[Header, Iterator[bytes]]]:
        """Each member with its content in pieces, to be read before the next is asked for.

        The end of the iteration proves that the archive and the file end there, both of them whole.

        Raises:
            ImageError: ``image-corrupt``, ``image-truncated``, ``image-not-readable``,
                ``image-format-unsupported``, ``image-member-unsafe``, ``image-too-large``.
        """
        for _ in range(_MOST_MEMBERS + 1):
            block = self._data.exactly(BLOCK)
            if not any(block):
                self._check_end()
                return
            header = self._header(self._skip_pax(block))
            yield header, self._content(header.size)
            self._data.exactly(-header.size % BLOCK)
        raise self._image.error(
            "image-too-large",
            f"holds more than {_MOST_MEMBERS} members, which no {self._rules.kind} has",
            fix=self._rules.repack,
        )

    def refused(self, code: str, path: str, problem: str) -> ImageError:
        """An error about one member; it may be of an archive that was never meant as a template."""
        return self.unfit(code, f"it holds {printable(path)!r}, {problem}; {self._rules.advice}")

    def unfit(self, code: str, problem: str) -> ImageError:
        """An error about the whole: it is not what it is meant to be."""
        return self._image.error(
            code, f"is {self._rules.otherwise}: {problem}", fix=self._rules.repack
        )

    def _content(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            piece = self._data.some(left)
            if not piece:
                raise self._image.truncated("the end of a member")
            left -= len(piece)
            yield piece

    def _header(self, block: bytes) -> Header:
        """The header in a block.

        Raises:
            ImageError: It is damaged, of a kind of member that IMS does not take, or ambiguous.
        """
        path = block[_NAME].partition(b"\0")[0].decode("utf-8", "backslashreplace")
        if not is_header(block):
            raise self._corrupt("a header in its archive has a wrong checksum")
        for field, place in _NUMBERS.items():
            if not _NUMBER.fullmatch(block[place]):
                raise self._corrupt(f"the {field} of member {printable(path)!r} is no number")
        kind, size = block[_KIND], _number(block[_SIZE])
        if kind not in {*_FILE, _FOLDER}:
            what = _OTHER_KINDS.get(kind, "of a kind that IMS does not know")
            raise self.refused("image-member-unsafe", path, f"which is {what}")
        # POSIX has the start of the name there, GNU tar other things; who reads what differs.
        if any(block[_PREFIX_AND_REST]):
            raise self._unsupported(f"the header of member {printable(path)!r} is extended")
        if kind == _FOLDER and size:  # some programs skip such content, others do not
            raise self._corrupt(f"the folder {printable(path)!r} has a size")
        return Header(path, kind == _FOLDER, size)

    def _skip_pax(self, block: bytes) -> bytes:
        """The block after a pax header, if this is one; it can say only what does not matter."""
        if block[_KIND] != _PAX or not is_header(block):
            return block
        size = _number(block[_SIZE]) if _NUMBER.fullmatch(block[_SIZE]) else _LONGEST_PAX + 1
        if size > _LONGEST_PAX:
            raise self._unsupported("a pax header is very long")
        text = self._data.exactly(size)
        self._data.exactly(-size % BLOCK)
        records = list(_PAX_RECORD.finditer(text))
        if b"".join(each[0] for each in records) != text:
            raise self._unsupported("a pax header says more than times and owners")
        if any(int(each[1]) != len(each[0]) for each in records):
            raise self._corrupt("a record of a pax header has a wrong length")
        return self._data.exactly(BLOCK)

    def _check_end(self) -> None:
        """Two blocks of zeros end an archive, and only zeros may follow."""
        left = _MOST_PADDING
        if any(self._data.exactly(BLOCK)):
            raise self._corrupt("a block of zeros stands before the end of its archive")
        while padding := self._data.some(_MOST_PADDING):
            left -= len(padding)
            if left < 0 or any(padding):
                raise self._corrupt("more follows the end of its archive")

    def _corrupt(self, problem: str) -> ImageError:
        return self._image.error(
            "image-corrupt",
            f"is damaged: {problem}; take a fresh copy, or pack it again",
            fix=self._rules.repack,
        )

    def _unsupported(self, problem: str) -> ImageError:
        return self._image.error(
            "image-format-unsupported",
            f"is a tar archive that not every program reads alike: {problem}; pack it again",
            fix=self._rules.repack,
        )


def _number(field: bytes) -> int:
    if field.startswith(b"\x80"):
        return int.from_bytes(field[1:], "big")
    return int(field.strip(b" \0") or b"0", 8)
