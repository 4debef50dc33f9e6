"""Java's properties files, byte for byte as ``java.util.Properties.store`` writes them.

Source: the Java SE API's description of ``java.util.Properties``, ``store`` and ``load``.
"""

from __future__ import annotations

__all__ = ["stored"]

_DATE = "Thu Jan 01 00:00:00 UTC 1970"  # of the writing; there is no clock here
_ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in "\\=:#!"}
    | {"\t": r"\t", "\n": r"\n", "\r": r"\r", "\f": r"\f"}
)


def stored(title: str, name: str, value: str) -> bytes:
    """A file with one property.

    Args:
        title: The comment in its first line; the second is the date, which is always the same.
        name: Of letters, digits and ``._-``, so that nothing in it is to be escaped.
        value: Any text.
    """
    escaped = "".join(map(_unit, value.translate(_ESCAPES)))
    if escaped.startswith(" "):
        escaped = f"\\{escaped}"  # one is enough: a blank after it is the value's own
    return f"#{title}\n#{_DATE}\n{name}={escaped}\n".encode("ascii")


def _unit(character: str) -> str:
    """What is not printable ASCII, in Java's 16-bit units."""
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex().upper()}" for i in range(0, len(units), 2))
