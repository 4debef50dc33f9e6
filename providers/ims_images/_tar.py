"""The members of a compressed tar archive that may be hostile.

What is read is what every tar program reads alike: the ustar header of POSIX.1 (pax, "ustar
Interchange Format") and GNU tar's, as far as they agree. Extensions by which one program sees
another name or size than the next are refused, among them long names, sparse files, and pax
records but those of times and owners.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ims_images._file import printable
from ims_images._gunzip import Gunzip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_core.errors import ImageError
    from ims_images._file import ImageFile
    from ims_images.digest import Progress

__all__ = ["BLOCK", "REPACK", "Header", "is_header", "members", "refused"]

BLOCK = 512
REPACK = "tar --format=gnu -czf NEW.tgz FOLDER"
"""The command whose archives are accepted."""

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


def members(image: ImageFile, progress: Progress) -> Iterator[tuple[Header, Iterator[bytes]]]:
    """Each member with its content in pieces, to be read before the next is asked for.

    The end of the iteration proves that the archive and the file end there, both of them whole.

    Raises:
        ImageError: ``image-corrupt``, ``image-truncated``, ``image-not-readable``,
            ``image-format-unsupported``, ``image-member-unsafe``, ``image-too-large``.
    """
    data = Gunzip(image, progress)
    for _ in range(_MOST_MEMBERS + 1):
        block = data.exactly(BLOCK)
        if not any(block):
            _check_end(image, data)
            return
        header = _header(image, _skip_pax(image, data, block))
        yield header, _content(image, data, header.size)
        data.exactly(-header.size % BLOCK)
    raise image.error(
        "image-too-large",
        f"holds more than {_MOST_MEMBERS} members, which no Oracle VM template has",
        fix=REPACK,
    )


def _content(image: ImageFile, data: Gunzip, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = data.some(left)
        if not piece:
            raise image.truncated("the end of a member")
        left -= len(piece)
        yield piece


def _header(image: ImageFile, block: bytes) -> Header:
    """The header in a block.

    Raises:
        ImageError: It is damaged, of a kind of member that IMS does not take, or ambiguous.
    """
    path = block[_NAME].partition(b"\0")[0].decode("ascii", "backslashreplace")
    if not is_header(block):
        raise _corrupt(image, "a header in its archive has a wrong checksum")
    for field, place in _NUMBERS.items():
        if not _NUMBER.fullmatch(block[place]):
            raise _corrupt(image, f"the {field} of member {printable(path)!r} is no number")
    kind, size = block[_KIND], _number(block[_SIZE])
    if kind not in {*_FILE, _FOLDER}:
        what = _OTHER_KINDS.get(kind, "of a kind that IMS does not know")
        raise refused(image, "image-member-unsafe", path, f"which is {what}")
    # POSIX has the start of the name there, GNU tar other things; who reads what differs.
    if any(block[_PREFIX_AND_REST]):
        raise _unsupported(image, f"the header of member {printable(path)!r} is extended")
    if kind == _FOLDER and size:  # some programs skip such content, others do not
        raise _corrupt(image, f"the folder {printable(path)!r} has a size")
    return Header(path, kind == _FOLDER, size)


def _skip_pax(image: ImageFile, data: Gunzip, block: bytes) -> bytes:
    """The block after a pax header, if this is one; it can say only what does not matter here."""
    if block[_KIND] != _PAX or not is_header(block):
        return block
    size = _number(block[_SIZE]) if _NUMBER.fullmatch(block[_SIZE]) else _LONGEST_PAX + 1
    if size > _LONGEST_PAX:
        raise _unsupported(image, "a pax header is very long")
    text = data.exactly(size)
    data.exactly(-size % BLOCK)
    records = list(_PAX_RECORD.finditer(text))
    if b"".join(each[0] for each in records) != text:
        raise _unsupported(image, "a pax header says more than times and owners")
    if any(int(each[1]) != len(each[0]) for each in records):
        raise _corrupt(image, "a record of a pax header has a wrong length")
    return data.exactly(BLOCK)


def _check_end(image: ImageFile, data: Gunzip) -> None:
    """Two blocks of zeros end an archive, and only zeros may follow."""
    left = _MOST_PADDING
    if any(data.exactly(BLOCK)):
        raise _corrupt(image, "a block of zeros stands before the end of its archive")
    while padding := data.some(_MOST_PADDING):
        left -= len(padding)
        if left < 0 or any(padding):
            raise _corrupt(image, "more follows the end of its archive")


def _number(field: bytes) -> int:
    if field.startswith(b"\x80"):
        return int.from_bytes(field[1:], "big")
    return int(field.strip(b" \0") or b"0", 8)


def refused(image: ImageFile, code: str, path: str, problem: str) -> ImageError:
    """An error about one member; it may be of an archive that was never meant as a template."""
    return image.error(
        code,
        f"is a compressed tar archive, but no Oracle VM template: it holds {printable(path)!r}, "
        f"{problem}; pack one folder of plain files, or unpack the image you need and import that",
        fix=REPACK,
    )


def _corrupt(image: ImageFile, problem: str) -> ImageError:
    return image.error(
        "image-corrupt", f"is damaged: {problem}; take a fresh copy, or pack it again", fix=REPACK
    )


def _unsupported(image: ImageFile, problem: str) -> ImageError:
    return image.error(
        "image-format-unsupported",
        f"is a tar archive that not every program reads alike: {problem}; pack it again",
        fix=REPACK,
    )
