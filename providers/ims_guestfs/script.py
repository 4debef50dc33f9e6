r"""The commands that guestfish is given, one line each.

The rules are those of guestfish(1), "QUOTING": between double quotes nothing is special but the
quote and the backslash, and ``\xHH`` is the byte of that number; the name of a command is not
quoted. Without quotes a line could run programs on this machine (``!``, ``|``).
"""

from __future__ import annotations

__all__ = ["LONGEST_PATH", "line"]

LONGEST_PATH = 1000
"""Bytes of a path in the guest. Two of them fit into a line, however they are quoted."""

_LONGEST_LINE = 8191  # guestfish takes the rest of a longer one for another command
_SPECIAL = frozenset(b'"\\')
_FIRST_PRINTABLE, _DELETE = 0x20, 0x7F


def line(name: str, *arguments: str) -> bytes:
    """A command and its arguments, with the newline.

    Args:
        name: As guestfish calls it; with a hyphen before it, guestfish goes on where it fails.
        arguments: Any text without NUL; a lone surrogate is a byte that is no UTF-8, as
            ``surrogateescape`` makes them.

    Raises:
        ValueError: There is a NUL in it, or the line is too long for guestfish.
    """
    words = [name.encode("ascii"), *map(_quoted, arguments)]
    text = b" ".join(words) + b"\n"
    if len(text) > _LONGEST_LINE:
        raise ValueError(f"a command of {len(text)} bytes is too long for guestfish")
    return text


def _quoted(argument: str) -> bytes:
    data = argument.encode("utf-8", "surrogateescape")
    if 0 in data:
        raise ValueError("an argument of guestfish contains a NUL")
    return b'"%s"' % b"".join(map(_plain, data))


def _plain(byte: int) -> bytes:
    if byte in _SPECIAL:
        return b"\\%c" % byte
    if byte < _FIRST_PRINTABLE or byte == _DELETE:
        return b"\\x%02x" % byte
    return b"%c" % byte
