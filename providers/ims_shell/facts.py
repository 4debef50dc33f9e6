"""What programs say of the machine that they run on."""

from __future__ import annotations

__all__ = ["room_in"]

_KIB = 1024


def room_in(line: str) -> int | None:
    """Bytes available, out of a line of ``df -Pk``."""
    words = line.split()
    known = len(words) > 3 and words[3].isdecimal()  # noqa: PLR2004 - the column "Available"
    return int(words[3]) * _KIB if known else None
