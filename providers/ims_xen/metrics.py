"""Metrics of all domains in one round trip.

CPU time is from ``xl list``, the rest from :mod:`ims_dom0.counters`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ims_core.models import Metrics
from ims_dom0.counters import cards_in, disks_in
from ims_xen.domains import domains_of

if TYPE_CHECKING:
    from ims_dom0.dom0 import Dom0

__all__ = ["read"]


def read(dom0: Dom0) -> list[Metrics]:
    """The metrics of every domain but dom0."""
    timestamp = time.time()
    told = dom0.ask("metrics", subject="metrics")
    disks = disks_in(told.get("devices", b"").decode(errors="replace"))
    cards = cards_in(told.get("network", b"").decode(errors="replace"))
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
