"""Metrics of all domains in one round trip.

CPU time is from ``xl list``, network bytes from the counters of dom0's own end of each card, disk
bytes from ``xentop`` in its batch mode, which counts sectors of 512 bytes (xentop(1), xenstat.c).
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from ims_core.models import Metrics
from ims_xen.domains import domains_of

if TYPE_CHECKING:
    from ims_dom0.dom0 import Dom0

__all__ = ["read"]

_SECTOR = 512
# What the guest sends, dom0's end receives.
_COUNTER = re.compile(r"/sys/class/net/vif([0-9]+)\.[0-9]+/statistics/([rt]x)_bytes:([0-9]+)")
_NAME = re.compile(r" *(.+?) +[dsbcpr-]{6} ")  # and its state, in the next column
_COUNT = re.compile(r"[0-9]{1,19}")
_GUESTS = {"rx": "tx", "tx": "rx"}


def read(dom0: Dom0) -> list[Metrics]:
    """The metrics of every domain but dom0."""
    timestamp = time.time()
    told = dom0.ask("metrics", subject="metrics")
    disks = _disks(told.get("devices", b"").decode(errors="replace"))
    cards = _cards(told.get("network", b"").decode(errors="replace"))
    found = []
    for domain in domains_of(told["domains"].decode(errors="replace")):
        read_bytes, write_bytes = disks.get(domain.name, (None, None))
        traffic = cards.get(domain.domid, {})
        found.append(
            Metrics(
                name=domain.name,
                uuid=domain.uuid,
                timestamp=timestamp,
                cpu_seconds=domain.seconds,
                vcpus=domain.vcpus,
                memory_max_bytes=domain.memory,
                disk_read_bytes=read_bytes,
                disk_write_bytes=write_bytes,
                net_rx_bytes=traffic.get("rx"),
                net_tx_bytes=traffic.get("tx"),
            )
        )
    return found


def _disks(text: str) -> dict[str, tuple[int, int]]:
    """Bytes read and written by domain name; the columns are named in the first line."""
    lines = text.splitlines()
    heading = next((line.split() for line in lines if line.split()[:1] == ["NAME"]), [])
    if not {"VBD_RSECT", "VBD_WSECT"} <= set(heading):
        return {}
    # From the right: a name may hold spaces, and so does the "no limit" of dom0's memory.
    read_at, write_at = (heading.index(each) - len(heading) for each in ("VBD_RSECT", "VBD_WSECT"))
    found = {}
    for line in lines:
        words = line.split()
        if (match := _NAME.match(line)) and len(words) >= len(heading):
            sectors = words[read_at], words[write_at]
            if all(_COUNT.fullmatch(each) for each in sectors):
                found[match[1]] = (int(sectors[0]) * _SECTOR, int(sectors[1]) * _SECTOR)
    return found


def _cards(text: str) -> dict[int, dict[str, int]]:
    """Bytes to and from each guest, over all its cards, by domain id."""
    found: dict[int, dict[str, int]] = {}
    for line in text.splitlines():
        if match := _COUNTER.fullmatch(line):
            counters = found.setdefault(int(match[1]), {"rx": 0, "tx": 0})
            counters[_GUESTS[match[2]]] += int(match[3])
    return found
