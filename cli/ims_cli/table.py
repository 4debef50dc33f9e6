"""Tables for people: aligned columns, ``-`` for what is not known."""

from __future__ import annotations

from time import gmtime, strftime
from typing import TYPE_CHECKING

from ims_cli.text import harmless, width

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["columns", "fields", "time_in_utc"]

_GAP = "  "


def columns(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Lines of a table with a heading; without one if all headings are empty."""
    cells = [[_cell(value) for value in row] for row in rows]
    if any(head):
        cells.insert(0, list(head))
    widths = [max(width(row[index]) for row in cells) for index in range(len(head)) if cells]
    for row in cells:
        padded = (cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True))
        yield _GAP.join(padded).rstrip()


def fields(pairs: Iterable[tuple[str, object]]) -> Iterator[str]:
    """Lines of names and values; a list's further values stand below its first."""
    rows: list[tuple[str, object]] = []
    for name, value in pairs:
        values = value if isinstance(value, list) else [value]
        rows += [("" if index else name, each) for index, each in enumerate(values or [None])]
    return columns(("", ""), rows)


def time_in_utc(at: float) -> str:
    """A time as ISO 8601, to the millisecond."""
    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(at))}.{int(at % 1 * 1000):03d}Z"


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-" if value is None else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return harmless(str(value))
