"""VMs, their addresses and counters, as others see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.models import VM, Address, Metrics, State
from ims_fake.domain import FILES, STATES

if TYPE_CHECKING:
    from ims_core.models import Receipt
    from ims_fake.directory import Directory
    from ims_fake.domain import Domain
    from ims_fake.vms import VMs

__all__ = ["counters", "problem_of", "seen"]

_MIB = 1 << 20


def problem_of(directory: Directory, domain: Domain) -> str:
    """Why a VM would not start; empty when nothing is known."""
    if domain.unreadable:
        return f"its description cannot be read: {domain.unreadable}"
    for kind in FILES:
        name = getattr(domain, kind)
        if name and not directory.path(kind, name).exists():
            return f"its {kind} {name} is missing"
    return ""


def seen(vms: VMs, domain: Domain, *, evidence: bool) -> VM:
    """A VM as it is now."""
    receipt = vms.guests.receipt(domain) if evidence else None
    return VM(
        name=domain.name,
        uuid=domain.uuid,
        state=STATES.get(domain.state, State.UNKNOWN),
        mark=domain.mark,
        memory=domain.memory,
        vcpus=domain.vcpus,
        problem=problem_of(vms.directory, domain),
        addresses=_addresses(domain, receipt) if evidence else (),
        receipt=receipt,
    )


def counters(domain: Domain, now: float) -> Metrics:
    """Counters of a running VM: an idle guest's, in proportion to the time it runs."""
    up = max(0.0, now - (domain.started or now))
    return Metrics(
        name=domain.name,
        uuid=domain.uuid,
        timestamp=now,
        cpu_seconds=0.02 * up * (domain.vcpus or 1),
        vcpus=domain.vcpus,
        memory_used_bytes=domain.memory // 4 if domain.memory else None,
        memory_max_bytes=domain.memory,
        disk_read_bytes=32 * _MIB + int(up * 512),
        disk_write_bytes=int(up * 4096),
        net_rx_bytes=int(up * 1024) if domain.interfaces else None,
        net_tx_bytes=int(up * 256) if domain.interfaces else None,
    )


def _addresses(domain: Domain, receipt: Receipt | None) -> tuple[Address, ...]:
    if domain.state != "running":
        return ()
    leases = tuple(Address(address, mac, "lease") for mac, address in domain.leases.items())
    return leases + (receipt.addresses if receipt else ())
