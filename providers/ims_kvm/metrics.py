"""Metrics out of one ``getAllDomainStats`` call.

libvirt asks each QEMU's monitor for some of them, so one QEMU that hangs makes the call hang. Then
the VMs are asked one by one, and those that do not answer are reported without numbers.

Source of the field names: libvirt's virConnectGetAllDomainStats documentation.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import libvirt

from ims_core.errors import UnavailableError
from ims_core.models import Metrics
from ims_kvm.bounded import within

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["metrics_from", "read"]

ALL_SECONDS = 5.0
ONE_SECONDS = 2.0

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
    active = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
    timestamp = time.time()
    try:
        records = within(ALL_SECONDS, lambda: connection.getAllDomainStats(GROUPS, active))
    except UnavailableError:
        domains = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        records = [(domain, _of_one(connection, domain)) for domain in domains]
    return [
        metrics_from(domain.name(), domain.UUIDString(), stats, timestamp)
        for domain, stats in records
    ]


def _of_one(connection: libvirt.virConnect, domain: libvirt.virDomain) -> Mapping[str, Any]:
    try:
        ((_, stats),) = within(ONE_SECONDS, lambda: connection.domainListGetStats([domain], GROUPS))
    except (UnavailableError, ValueError, libvirt.libvirtError):
        return {}  # it hangs, or has just stopped
    return dict(stats)


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
