# ruff: noqa: ARG002 - a hook has arguments that not every mutant needs
"""Mistakes in showing VMs and counters (sentences 14 to 16)."""

from __future__ import annotations

import json
import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from ims_core.errors import HypervisorError, NotFoundError
from ims_core.models import VM, Address, Mark, Metrics, State
from ims_core.spi import NOTHING_KNOWN
from tests.mutants.mutant import Group
from tests.mutants.parts import CHANGING, OFF, Base, Looks, around

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence


mutants = Group()


# --- 14 ---


class Inspects(Base):
    """One whose ``inspect`` works on the healthy answer."""

    def asked(self, vms: Collection[str] | None, found: Sequence[VM]) -> Sequence[VM]:
        return found

    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,
    ) -> Sequence[VM]:
        return self.asked(vms, super().inspect(vms, evidence=evidence, known=known))


@mutants.add("inspect-asks-for-each-vm", 14, "Each VM costs inspect a request of its own.")
class InspectAsksForEachVm(Inspects):
    def asked(self, vms: Collection[str] | None, found: Sequence[VM]) -> Sequence[VM]:
        self.ask_for_each(each.uuid for each in found)
        return found


@mutants.add("evidence-asks-for-each-vm", 14, "Addresses are asked for VM by VM.")
class EvidenceAsksForEachVm(Base):
    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,
    ) -> Sequence[VM]:
        found = super().inspect(vms, evidence=evidence, known=known)
        if evidence:
            self.ask_for_each(each.uuid for each in found)
        return found


@mutants.add("metrics-asks-for-each-vm", 14, "Each VM costs metrics a request of its own.")
class MetricsAsksForEachVm(Base):
    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        found = super().metrics(vms)
        self.ask_for_each(each.uuid for each in found)
        return found


@mutants.add("inspect-of-a-missing-vm-raises", 14, "One VM that is gone fails the whole answer.")
class InspectOfAMissingVmRaises(Inspects):
    def asked(self, vms: Collection[str] | None, found: Sequence[VM]) -> Sequence[VM]:
        if missing := set(vms or ()) - {word for each in found for word in (each.name, each.uuid)}:
            raise NotFoundError(f"there is no VM {missing.pop()!r}", code="vm-not-found")
        return found


@mutants.add("inspect-makes-up-missing-vms", 14, "A VM that is gone is shown as unknown.")
class InspectMakesUpMissingVms(Inspects):
    def asked(self, vms: Collection[str] | None, found: Sequence[VM]) -> Sequence[VM]:
        missing = set(vms or ()) - {word for each in found for word in (each.name, each.uuid)}
        return [*found, *(VM(each, each, State.UNKNOWN) for each in sorted(missing))]


@mutants.add("metrics-of-a-missing-vm-raises", 14, "One VM that is gone fails all counters.")
class MetricsOfAMissingVmRaises(Base):
    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        there = {word for each in self.all_now() for word in (each.name, each.uuid)}
        if missing := set(vms or ()) - there:
            raise NotFoundError(f"there is no VM {missing.pop()!r}", code="vm-not-found")
        return super().metrics(vms)


@mutants.add("metrics-of-a-stopped-vm-raises", 14, "One VM that is off fails all counters.")
class MetricsOfAStoppedVmRaises(Base):
    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        for each in self.all_now():
            if each.state in OFF and (vms is None or each.name in vms or each.uuid in vms):
                raise HypervisorError("domain is not running", vm=each.name)
        return super().metrics(vms)


@mutants.add("broken-vm-spoils-the-answer", 14, "One broken VM fails inspect for all.")
class BrokenVmSpoilsTheAnswer(Inspects):
    def asked(self, vms: Collection[str] | None, found: Sequence[VM]) -> Sequence[VM]:
        for each in found:
            if each.problem:
                raise HypervisorError(each.problem, vm=each.name)
        return found


@mutants.add("broken-vm-ends-the-answer", 14, "What comes after a broken VM is not shown.")
class BrokenVmEndsTheAnswer(Inspects):
    def asked(self, vms: Collection[str] | None, found: Sequence[VM]) -> Sequence[VM]:
        ordered = sorted(found, key=lambda each: not each.problem)
        return ordered[:1] if ordered and ordered[0].problem else found


@mutants.add("broken-vm-spoils-the-counters", 14, "One broken VM fails metrics for all.")
class BrokenVmSpoilsTheCounters(Base):
    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        for each in self.all_now():
            if each.problem:
                raise HypervisorError(each.problem, vm=each.name)
        return super().metrics(vms)


@mutants.add("inspect-takes-none-for-all", 14, "An empty choice of VMs means all of them.")
class InspectTakesNoneForAll(Base):
    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,
    ) -> Sequence[VM]:
        return super().inspect(vms or None, evidence=evidence, known=known)


@mutants.add("metrics-takes-none-for-all", 14, "An empty choice of VMs gives all counters.")
class MetricsTakesNoneForAll(Base):
    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        return super().metrics(vms or None)


@mutants.add("inspect-knows-no-names", 14, "VMs can be asked for by UUID only.")
class InspectKnowsNoNames(Inspects):
    def asked(self, vms: Collection[str] | None, found: Sequence[VM]) -> Sequence[VM]:
        return [each for each in found if vms is None or each.uuid in vms]


@mutants.add("metrics-knows-no-names", 14, "Counters can be asked for by UUID only.")
class MetricsKnowsNoNames(Base):
    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        return [each for each in super().metrics(vms) if vms is None or each.uuid in vms]


@mutants.add("inspect-shows-a-vm-twice", 14, "A VM asked for by name and UUID comes twice.")
class InspectShowsAVmTwice(Inspects):
    def asked(self, vms: Collection[str] | None, found: Sequence[VM]) -> Sequence[VM]:
        both = [each for each in found if vms and each.uuid in vms and each.name in vms]
        return [*found, *both]


@mutants.add("inspect-shows-only-the-first-page", 14, "Of many VMs only the first four are shown.")
class InspectShowsOnlyTheFirstPage(Inspects):
    def asked(self, vms: Collection[str] | None, found: Sequence[VM]) -> Sequence[VM]:
        return found[:4]


# --- 15 ---


@mutants.add("unknown-state-is-stopped", 15, "A state that is not in the table counts as off.")
class UnknownStateIsStopped(Looks):
    def shown(self, vm: VM) -> VM:
        return replace(vm, state=State.STOPPED) if vm.state is State.UNKNOWN else vm


@mutants.add("unknown-state-is-running", 15, "What is not off is taken for running.")
class UnknownStateIsRunning(Looks):
    def shown(self, vm: VM) -> VM:
        return replace(vm, state=State.RUNNING) if vm.state is State.UNKNOWN else vm


@mutants.add("unknown-state-raises", 15, "A state that is not in the table is an error.")
class UnknownStateRaises(Looks):
    def shown(self, vm: VM) -> VM:
        if vm.state is State.UNKNOWN:
            raise KeyError(vm.name)
        return vm


@mutants.add("crashed-is-stopped", 15, "A crashed VM is shown as stopped.")
class CrashedIsStopped(Looks):
    def shown(self, vm: VM) -> VM:
        return replace(vm, state=State.STOPPED) if vm.state is State.CRASHED else vm


@mutants.add("suspended-is-stopped", 15, "A VM whose memory is saved is shown as stopped.")
class SuspendedIsStopped(Looks):
    def shown(self, vm: VM) -> VM:
        return replace(vm, state=State.STOPPED) if vm.state is State.SUSPENDED else vm


@mutants.add("paused-is-running", 15, "A paused VM is shown as running.")
class PausedIsRunning(Looks):
    def shown(self, vm: VM) -> VM:
        return replace(vm, state=State.RUNNING) if vm.state is State.PAUSED else vm


@mutants.add("paused-is-suspended", 15, "Paused and suspended are shown as one.")
class PausedIsSuspended(Looks):
    def shown(self, vm: VM) -> VM:
        return replace(vm, state=State.SUSPENDED) if vm.state is State.PAUSED else vm


@mutants.add("defined-is-stopped", 15, "Whether a VM was ever started is not told.")
class DefinedIsStopped(Looks):
    def shown(self, vm: VM) -> VM:
        return replace(vm, state=State.STOPPED) if vm.state is State.DEFINED else vm


@mutants.add("broken-vm-is-not-shown", 15, "A VM that cannot be read is left out.")
class BrokenVmIsNotShown(Inspects):
    def asked(self, vms: Collection[str] | None, found: Sequence[VM]) -> Sequence[VM]:
        return [each for each in found if each.state is not State.UNKNOWN]


@mutants.add("states-are-remembered", 15, "What others did to a VM is not seen.")
@around(CHANGING, lambda healthy: lambda self, *args, **more: self.forget(healthy, *args, **more))
class StatesAreRemembered(Looks):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._seen: dict[str, State] = {}

    def forget(self, healthy: Callable[..., Any], vm: str, *args: Any, **more: Any) -> Any:
        try:
            return healthy(self, vm, *args, **more)
        finally:
            self._seen.pop(vm, None)

    def shown(self, vm: VM) -> VM:
        return replace(vm, state=self._seen.setdefault(vm.uuid, vm.state))


@mutants.add("unknown-number-is-zero", 15, "A counter that cannot be given is 0.")
class UnknownNumberIsZero(Looks):
    def counted(self, counters: Metrics) -> Metrics:
        missing = [each.name for each in fields(Metrics) if getattr(counters, each.name) is None]
        zeros: dict[str, Any] = dict.fromkeys(missing, 0)
        return replace(counters, **zeros)


@mutants.add("unknown-memory-is-zero", 15, "Memory and CPUs that are not known are 0.")
class UnknownMemoryIsZero(Looks):
    def shown(self, vm: VM) -> VM:
        return replace(vm, memory=vm.memory or 0, vcpus=vm.vcpus or 0)


@mutants.add("zero-counters-when-off", 15, "VMs that are off get counters of 0.")
class ZeroCountersWhenOff(Base):
    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        off = [
            Metrics(each.name, each.uuid, time.time(), 0.0, 0, 0, 0, 0, 0, 0, 0)
            for each in self.all_now()
            if each.state in OFF and (vms is None or each.name in vms or each.uuid in vms)
        ]
        return [*super().metrics(vms), *off]


@mutants.add("cpu-time-in-nanoseconds", 15, "CPU time is in the hypervisor's unit.")
class CpuTimeInNanoseconds(Looks):
    def counted(self, counters: Metrics) -> Metrics:
        return replace(counters, cpu_seconds=(counters.cpu_seconds or 0.0) * 1e9)


@mutants.add("memory-counters-in-kib", 15, "Memory in the counters is in KiB.")
class MemoryCountersInKib(Looks):
    def counted(self, counters: Metrics) -> Metrics:
        return replace(
            counters,
            memory_max_bytes=counters.memory_max_bytes and counters.memory_max_bytes >> 10,
            memory_used_bytes=counters.memory_used_bytes and counters.memory_used_bytes >> 10,
        )


@mutants.add("memory-shown-in-kib", 15, "A VM's memory is shown in KiB.")
class MemoryShownInKib(Looks):
    def shown(self, vm: VM) -> VM:
        return replace(vm, memory=vm.memory and vm.memory >> 10)


@mutants.add("timestamp-in-milliseconds", 15, "The counters' time is in milliseconds.")
class TimestampInMilliseconds(Looks):
    def counted(self, counters: Metrics) -> Metrics:
        return replace(counters, timestamp=counters.timestamp * 1000)


@mutants.add("timestamp-since-the-boot", 15, "The counters' time is not one of the calendar.")
class TimestampSinceTheBoot(Looks):
    def counted(self, counters: Metrics) -> Metrics:
        return replace(counters, timestamp=counters.timestamp % 100_000)


@mutants.add("counters-run-backwards", 15, "Counters are given as a rate, and fall again.")
class CountersRunBackwards(Looks):
    def counted(self, counters: Metrics) -> Metrics:
        self._times = getattr(self, "_times", 0) + 1
        return replace(
            counters,
            cpu_seconds=1.0 / self._times,
            disk_read_bytes=1000 // self._times,
            net_rx_bytes=1000 // self._times,
        )


@mutants.add("used-memory-is-all-memory", 15, "Used memory is guessed to be all there is.")
class UsedMemoryIsAllMemory(Looks):
    def counted(self, counters: Metrics) -> Metrics:
        return replace(
            counters, memory_used_bytes=(counters.memory_max_bytes or 0) * 2, memory_max_bytes=None
        )


@mutants.add("copied-mark-counts", 15, "A mark that names another VM is shown as this one's.")
class CopiedMarkCounts(Looks):
    def shown(self, vm: VM) -> VM:
        if vm.mark is None and not vm.problem:
            values = json.loads((self.root / "domains" / f"{vm.uuid}.json").read_bytes())
            if values.get("mark"):
                return replace(vm, mark=Mark.from_dict(values["mark"]))
        return vm


# --- 16 ---


@mutants.add("link-local-addresses-are-shown", 16, "The fe80 address of each card is shown.")
class LinkLocalAddressesAreShown(Looks):
    def shown(self, vm: VM) -> VM:
        extra = tuple(
            Address("fe80::5054:ff:fe00:1/64", each.mac, "agent") for each in vm.addresses
        )
        return replace(vm, addresses=vm.addresses + extra[:1])


@mutants.add("self-assigned-addresses-are-shown", 16, "An address of 169.254 is shown.")
class SelfAssignedAddressesAreShown(Looks):
    def shown(self, vm: VM) -> VM:
        extra = tuple(Address("169.254.7.7/16", each.mac, "lease") for each in vm.addresses)
        return replace(vm, addresses=vm.addresses + extra[:1])


@mutants.add("addresses-go-by-order", 16, "Addresses are given to the cards in their order.")
class AddressesGoByOrder(Looks):
    def shown(self, vm: VM) -> VM:
        macs = sorted({each.mac for each in vm.addresses})
        turned = dict(zip(macs, macs[1:] + macs[:1], strict=True))
        moved = tuple(replace(each, mac=turned[each.mac]) for each in vm.addresses)
        return replace(vm, addresses=moved)


@mutants.add("addresses-of-others", 16, "Each VM is shown with the addresses of all.")
class AddressesOfOthers(Inspects):
    def asked(self, vms: Collection[str] | None, found: Sequence[VM]) -> Sequence[VM]:
        every = tuple(address for each in found for address in each.addresses)
        return [replace(each, addresses=every) if each.addresses else each for each in found]


@mutants.add("addresses-without-a-source", 16, "It is not told who knows an address.")
class AddressesWithoutASource(Looks):
    def shown(self, vm: VM) -> VM:
        bare = tuple(replace(each, source="") for each in vm.addresses)
        return replace(vm, addresses=bare)


@mutants.add("addresses-of-a-source-not-declared", 16, "The source is none of those declared.")
class AddressesOfASourceNotDeclared(Looks):
    def shown(self, vm: VM) -> VM:
        other = tuple(replace(each, source="dnsmasq") for each in vm.addresses)
        return replace(vm, addresses=other)


@mutants.add("addresses-without-a-mac", 16, "It is not told which card has an address.")
class AddressesWithoutAMac(Looks):
    def shown(self, vm: VM) -> VM:
        bare = tuple(replace(each, mac="") for each in vm.addresses)
        return replace(vm, addresses=bare)


@mutants.add("macs-in-another-form", 16, "MACs are shown as the hypervisor writes them.")
class MacsInAnotherForm(Looks):
    def shown(self, vm: VM) -> VM:
        other = tuple(
            replace(each, mac=each.mac.upper().replace(":", "-")) for each in vm.addresses
        )
        return replace(vm, addresses=other)
