"""Sizes as people write them."""

from __future__ import annotations

import re

from ims_core.errors import InvalidError

__all__ = ["format_size", "parse_size"]

_SIZE = re.compile(r"\s*([0-9]{1,15})(\.[0-9]{1,6})?\s*([KMGTP]?)(iB|B)?\s*", re.IGNORECASE)
_KIBI = 1024
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def parse_size(field: str, text: str) -> int:
    """Bytes from ``512M``, ``1.5GiB`` or ``1073741824``; the units are powers of 1,024.

    Raises:
        InvalidError: The text is no size; the message names the field.
    """
    match = _SIZE.fullmatch(text)
    if match:
        whole, fraction, unit, _ = match.groups()
        size = int(float(whole + (fraction or "")) * _KIBI ** _POWERS[unit.upper()])
        if size > 0:
            return size
    raise InvalidError(
        f"{field} {text!r} is not a size", hint="write a number and a unit: 512M, 2G, 1.5GiB"
    )


def format_size(size: int | None) -> str:
    """A size in the largest unit that leaves at least one whole digit, for tables."""
    if size is None:
        return "-"
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < _KIBI:
            return f"{value:.0f} {unit}" if value == int(value) else f"{value:.1f} {unit}"
        value /= _KIBI
    return f"{value:.1f} TiB"
