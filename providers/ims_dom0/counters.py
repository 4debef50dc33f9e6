"""Counters that a dom0 keeps of its domains.

Disk bytes are from ``xentop`` in its batch mode, which counts sectors of 512 bytes (xentop(1),
xenstat.c); network bytes from the counters of dom0's own end of each card.
"""

from __future__ import annotations

import re

__all__ = ["cards_in", "disks_in", "rows_in"]

_SECTOR = 512
# What the guest sends, dom0's end receives.
_COUNTER = re.compile(r"/sys/class/net/vif([0-9]+)\.[0-9]+/statistics/([rt]x)_bytes:([0-9]+)")
_NAME = re.compile(r" *(.+?) +[dsbcpr-]{6} ")  # and its state, in the next column
_COUNT = re.compile(r"[0-9]{1,19}")
_GUESTS = {"rx": "tx", "tx": "rx"}


def rows_in(text: str) -> dict[str, dict[str, int]]:
    """What ``xentop`` shows of each domain by its name: whole numbers by their column's heading."""
    lines = text.splitlines()
    heading = next((line.split() for line in lines if line.split()[:1] == ["NAME"]), [])
    found = {}
    for line in lines:
        words = line.split()
        if (match := _NAME.match(line)) and len(words) >= len(heading):
            # From the right: a name may hold spaces, and so does the "no limit" of dom0's memory.
            pairs = zip(reversed(heading), reversed(words), strict=False)
            found[match[1]] = {name: int(word) for name, word in pairs if _COUNT.fullmatch(word)}
    return found


def disks_in(text: str) -> dict[str, tuple[int, int]]:
    """Bytes read and written by domain name."""
    return {
        name: (row["VBD_RSECT"] * _SECTOR, row["VBD_WSECT"] * _SECTOR)
        for name, row in rows_in(text).items()
        if {"VBD_RSECT", "VBD_WSECT"} <= row.keys()
    }


def cards_in(text: str) -> dict[int, dict[str, int]]:
    """Bytes to and from each guest, over all its cards, by domain id."""
    found: dict[int, dict[str, int]] = {}
    for line in text.splitlines():
        if match := _COUNTER.fullmatch(line):
            counters = found.setdefault(int(match[1]), {"rx": 0, "tx": 0})
            counters[_GUESTS[match[2]]] += int(match[3])
    return found
