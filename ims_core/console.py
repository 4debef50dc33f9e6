"""What a guest printed, as people can be shown it."""

from __future__ import annotations

__all__ = ["last_lines"]


def last_lines(printed: bytes, lines: int) -> tuple[str, ...]:
    """The last lines that are not blank, without the characters that move a terminal's cursor."""
    text = printed.decode(errors="replace")
    printable = ("".join(c for c in line if c.isprintable()) for line in text.splitlines())
    kept = [line for line in printable if line.strip()]
    return tuple(kept[len(kept) - min(lines, len(kept)) :])
