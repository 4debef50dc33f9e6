"""Metrics of the VMs that run in this dom0, in one round trip to it and one to the Manager.

The Manager has numbers of servers only. ``xentop`` tells them of xl's and of xm's domains alike,
CPU time in whole seconds, and xenstore tells whose domain it is.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ims_core.models import Metrics
from ims_dom0.counters import cards_in, disks_in, rows_in
from ims_ovm.looking import domains_in, records_in
from ims_shell.archive import unpack

if TYPE_CHECKING:
    from ims_dom0.dom0 import Dom0
    from ims_ovm.manager import Manager

__all__ = ["read"]

_KIB = 1024


def read(manager: Manager, dom0: Dom0) -> list[Metrics]:
    """The metrics of every VM of the server pool that runs here."""
    names = {image.uuid: image.name for image in manager.images()}
    timestamp = time.time()
    told = dom0.ask("metrics", subject="metrics")
    texts = {name: content.decode(errors="replace") for name, content in told.items()}
    ours = {each.image: each.mark.vm for each in records_in(unpack(told.get("archive", b"")))}
    rows, disks = rows_in(texts.get("devices", "")), disks_in(texts.get("devices", ""))
    cards = cards_in(texts.get("network", ""))
    found = []
    for uuid, domain in domains_in(texts.get("xenstore", "")).items():
        if uuid not in names:
            continue
        row, traffic = rows.get(domain.name, {}), cards.get(domain.domid, {})
        read_bytes, write_bytes = disks.get(domain.name, (None, None))
        most = row.get("MEM(k)")
        found.append(
            Metrics(
                name=names[uuid],
                uuid=ours.get(uuid, uuid),
                timestamp=timestamp,
                cpu_seconds=row.get("CPU(sec)"),
                vcpus=row.get("VCPUS"),
                memory_max_bytes=most * _KIB if most is not None else None,
                disk_read_bytes=read_bytes,
                disk_write_bytes=write_bytes,
                net_rx_bytes=traffic.get("rx"),
                net_tx_bytes=traffic.get("tx"),
            )
        )
    return found
