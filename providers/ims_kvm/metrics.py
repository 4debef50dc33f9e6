"""Metrics out of one ``getAllDomainStats`` call.

libvirt asks each QEMU's monitor for some of them, so one QEMU that hangs makes the call hang, and
keeps that VM's job taken. The next call passes over what needs a job that is taken: it tells of
that VM only what the host knows, and of the others all.

Source of the field names: libvirt's virConnectGetAllDomainStats documentation.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import libvirt

from ims_core.errors import UnavailableError
from ims_core.models import Metrics
from ims_kvm.bounded import within

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["metrics_from", "read"]

_ALL_SECONDS = 5.0
_MOST_CALLS = 4
"""Each leaves one more QEMU that hangs behind it. libvirtd serves five at a time to one client
(`max_client_requests`), and the list of the VMs must still be had."""

GROUPS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_BLOCK
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
)
_KIB = 1024
_NANO = 1e-9


def read(connection: libvirt.virConnect) -> list[Metrics]:
    """The metrics of every running domain."""
    timestamp = time.time()
    return [
        metrics_from(domain.name(), domain.UUIDString(), stats, timestamp)
        for domain, stats in _records(connection)
    ]


def _records(connection: libvirt.virConnect) -> Iterable[tuple[libvirt.virDomain, dict[str, Any]]]:
    flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
    for _ in range(_MOST_CALLS):
        with suppress(UnavailableError):
            return within(_ALL_SECONDS, partial(connection.getAllDomainStats, GROUPS, flags))
        flags |= libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    domains = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    return [(domain, {}) for domain in domains]


def metrics_from(name: str, uuid: str, stats: Mapping[str, Any], timestamp: float) -> Metrics:
    """One domain's record as our metrics; what libvirt does not report is None."""
    cpu = stats.get("cpu.time")
    maximum = stats.get("balloon.current")
    return Metrics(
        name=name,
        uuid=uuid,
        timestamp=timestamp,
        cpu_seconds=None if cpu is None else cpu * _NANO,
        vcpus=stats.get("vcpu.current"),
        memory_used_bytes=_used(stats),
        memory_max_bytes=None if maximum is None else maximum * _KIB,
        disk_read_bytes=_sum(stats, "block", "rd.bytes"),
        disk_write_bytes=_sum(stats, "block", "wr.bytes"),
        net_rx_bytes=_sum(stats, "net", "rx.bytes"),
        net_tx_bytes=_sum(stats, "net", "tx.bytes"),
    )


def _used(stats: Mapping[str, Any]) -> int | None:
    """What the guest uses, which only its balloon driver can tell."""
    if "balloon.available" not in stats or "balloon.unused" not in stats:
        return None
    return int(stats["balloon.available"] - stats["balloon.unused"]) * _KIB


def _sum(stats: Mapping[str, Any], group: str, field: str) -> int | None:
    """The sum over all devices of a group; None when no device reports the field."""
    values = [
        stats[key]
        for index in range(stats.get(f"{group}.count", 0))
        if (key := f"{group}.{index}.{field}") in stats
    ]
    return sum(values) if values else None
