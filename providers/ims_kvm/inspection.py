"""VMs as libvirt shows them.

For all VMs at once: one request for the states, one for the suspended ones where any is off, and
for VMs of ours one for each storage pool in use; a mark costs a request of its own unless the
caller knows it. For VMs that are named one more for their sizes, and the evidence if asked for.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import libvirt

from ims_bootparams.receipt import RECEIPT_BYTES, parse_receipt
from ims_core.errors import ImsError, UnavailableError
from ims_core.models import VM, State
from ims_kvm.bounded import within
from ims_kvm.domain import cards_of, has_system_information
from ims_kvm.evidence import addresses_of
from ims_kvm.mark import read_mark
from ims_kvm.saved import suspended_among
from ims_kvm.states import state_of
from ims_kvm.volumes import VolumeNames

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ims_core.models import Mark
    from ims_kvm.provider import KvmProvider
    from ims_kvm.volumes import StoragePool

__all__ = ["inspect"]

KIB = 1024
SIZES_SECONDS = 5.0
"""Within which every QEMU that does not hang answers."""


def inspect(
    provider: KvmProvider,
    vms: Collection[str] | None,
    *,
    evidence: bool,
    known: Mapping[str, Mark],
) -> list[VM]:
    """The VMs that are there; one that goes away meanwhile is left out."""
    # Only the state: every other group of statistics waits for each QEMU's monitor.
    records = provider.connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
    records = [(domain, stats) for domain, stats in records if _is_wanted(domain, vms)]
    states = [stats["state.state"] for _, stats in records]
    suspended = suspended_among(provider.connection, states)
    sizes: dict[str, dict[str, Any]] = {}
    if vms is not None:
        sizes = _sizes(provider.connection, [domain for domain, _ in records])
    files = _Files()
    found = []
    for domain, stats in records:
        saved = domain.UUIDString() in suspended
        try:
            vm = _vm(domain, stats["state.state"], stats["state.reason"], known, saved=saved)
            if vm.mark is not None and vm.mark.operation and vms is None:
                pool = provider.pool if vm.uuid in known else provider.storage_of(domain)
                problem = files.problem(domain, vm.mark, pool)
                if problem and vm.uuid in known:  # perhaps it is elsewhere
                    problem = files.problem(domain, vm.mark, provider.storage_of(domain))
                vm = replace(vm, problem=problem)
            vm = replace(vm, **sizes.get(vm.uuid, {}))
            if evidence:
                vm = _with_evidence(provider, domain, vm)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
            continue
        found.append(vm)
    return found


def _is_wanted(domain: libvirt.virDomain, vms: Collection[str] | None) -> bool:
    return vms is None or domain.name() in vms or domain.UUIDString() in vms


class _Files:
    """What lies in the storage pools, each of which is listed once."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str] | None] = {}

    def problem(self, domain: libvirt.virDomain, mark: Mark, pool: StoragePool) -> str:
        """What keeps a VM of ours from starting, in a few words."""
        if pool.name not in self._names:
            self._names[pool.name] = None
            with suppress(ImsError, libvirt.libvirtError):
                self._names[pool.name] = pool.names(refresh=True)
        files = self._names[pool.name]
        if files is None:
            return f"its storage pool {pool.name} cannot be read"
        names = VolumeNames(domain.name(), mark.operation)
        lost = [] if names.root in files else [names.root]
        if files.isdisjoint(names.seeds) and not has_system_information(domain.XMLDesc()):
            lost.append(names.seeds[0])
        return f"lost: {', '.join(lost)}" if lost else ""


def _vm(
    domain: libvirt.virDomain, state: int, reason: int, known: Mapping[str, Mark], *, saved: bool
) -> VM:
    uuid, meaning = domain.UUIDString(), state_of(state, reason, saved=saved)
    mark = known.get(uuid)
    if mark is None or not (mark.nonce or reason == libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN):
        mark = read_mark(domain)  # it was started since, by the IMS of another store
    if meaning is State.STOPPED and mark is not None and _never_started(mark, reason):
        meaning = State.DEFINED
    return VM(domain.name(), uuid, meaning, mark)


def _never_started(mark: Mark, reason: int) -> bool:
    """Whether a VM that is off is only defined.

    libvirt has no reason for the state of a domain that was never started, but neither for any
    after its daemon was restarted; the nonce in the mark tells those apart. While a create is not
    finished, the nonce is there before the start.
    """
    return reason == libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN and not (mark.nonce and mark.complete)


def _sizes(
    connection: libvirt.virConnect, domains: list[libvirt.virDomain]
) -> dict[str, dict[str, Any]]:
    """Memory and CPUs by UUID, in one request.

    It waits for a QEMU that hangs, unless another call waits for that one already: so the second
    attempt tells what libvirt itself knows.
    """
    if not domains:  # to libvirt that would mean all
        return {}
    groups = libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_VCPU
    nowait = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    words = {"balloon.maximum": ("memory", KIB), "vcpu.current": ("vcpus", 1)}
    found: list[tuple[libvirt.virDomain, dict[str, Any]]] = []
    for _ in range(2):
        with suppress(UnavailableError):
            found = within(
                SIZES_SECONDS, lambda: connection.domainListGetStats(domains, groups, nowait)
            )
            break
    return {
        domain.UUIDString(): {
            name: stats[word] * unit for word, (name, unit) in words.items() if word in stats
        }
        for domain, stats in found
    }


def _with_evidence(provider: KvmProvider, domain: libvirt.virDomain, vm: VM) -> VM:
    receipt = None
    if vm.mark is not None:
        names = VolumeNames(vm.name, vm.mark.operation)
        with suppress(
            ImsError, libvirt.libvirtError
        ):  # its storage is gone; the rest can still be told
            data = provider.storage_of(domain).read(names.receipt, last=RECEIPT_BYTES)
            receipt = parse_receipt(data)
    macs = cards_of(domain.XMLDesc())
    return replace(vm, addresses=addresses_of(domain, macs, receipt), receipt=receipt)
