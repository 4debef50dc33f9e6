"""Text that comes from hypervisors and guests, made fit for a terminal."""

from __future__ import annotations

__all__ = ["clip", "harmless", "width"]

_WIDE = "WF"
_NO_WIDTH = ("Mn", "Me", "Cf")


def harmless(text: str) -> str:
    r"""The text with everything that is not printable escaped, as ``\x1b`` or ``\n``.

    Control characters could move the cursor, set the clipboard or hide what was printed, and
    bidirectional overrides could make one name look like another.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def width(text: str) -> int:
    """Columns the text takes in a terminal: East Asian wide characters two, accents none."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width  # noqa: PLC0415 - rarely needed

    return sum(
        0 if category(each) in _NO_WIDTH else 2 if east_asian_width(each) in _WIDE else 1
        for each in text
    )


def clip(text: str, columns: int) -> str:
    """The text, shortened with ``…`` where it would not fit into so many columns."""
    if width(text) <= columns:
        return text
    while text and width(text) >= columns:
        text = text[:-1]
    return text + "…"
