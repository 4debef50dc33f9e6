"""The provider's class: the SPI, method by method.

The numbers are those of the sentences at the top of `ims_core.spi`, which are the contract; the
tests of the suite name them too. Nothing here prints, exits, or remembers anything between two
calls (sentence 18): any method may be called from any thread, for several VMs at a time (2).
"""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ims_core.errors import ConflictError, DeadlineError, InvalidError, NotFoundError
from ims_core.models import (
    VM,
    Carrier,
    CarrierLimits,
    Delivery,
    Features,
    Finding,
    Host,
    Interface,
    Mark,
    Metrics,
    Resource,
    VMSpec,
)
from ims_core.spi import NOTHING_KNOWN, Discarded, Provider, UndoLog, require_carrier

from .hypervisor import Hypervisor, Machine, connect
from .machines import described, promised, refuse_suspended, seen, taken
from .networks import completed
from .templates import Templates
from .translate import ADDRESSES, MARK, OFF, ask, mark_of, mark_text, state_of

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["AcmeProvider"]

HOST = "host-1"


class AcmeProvider(Templates, Provider):
    """VMs in memory, until they are those of your hypervisor."""

    name: ClassVar[str] = "acme"
    spi: ClassVar[str] = "1.0"

    # YOURS: how a context reaches a guest, with the limits of that; the image formats that VMs can
    # be made from; who knows a guest's addresses; whether a guest can answer (sentence 19).
    features: ClassVar[Features] = Features(
        carriers={Carrier.ISO: CarrierLimits(max_bytes=64 << 20)},
        template_formats=("raw",),
        address_sources=("lease", "receipt"),
        receipts=True,
    )

    # --- connection ---

    @classmethod
    def settings(cls) -> "type[BaseModel]":
        """What a pool can be told in ims.toml."""
        from .settings import Settings  # only here: it loads pydantic

        return Settings

    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        """Connect (sentence 1)."""
        # YOURS: log on. Who does not answer in time is UnavailableError, who refuses this user is
        # AccessDeniedError, each with a hint of what to do.
        return cls(ask(connect, settings["address"]), settings["network"])

    def __init__(self, client: Hypervisor, network: str) -> None:
        """Keep the connection."""
        self._client = client
        self._network = network

    def close(self) -> None:
        """Give the connection back: idempotent, and never raises (sentence 1)."""
        # YOURS: log off.

    @property
    def endpoint(self) -> str:
        """What it is connected to; if several ways lead to it, override `identity` as well."""
        return self._client.address

    def check(self) -> Iterator[Finding]:
        """Look at what is needed, and say how to mend what is wrong; make nothing."""
        # YOURS: versions, permissions, services: what went wrong for those who called you.
        networks = ask(self._client.list_networks)
        there = self._network in networks
        fix = "" if there else f"set `network` to one of: {', '.join(sorted(networks))}"
        found = "is there" if there else "is missing"
        yield Finding("network", f"{self._network} {found}", fix, ok=there)

    def hosts(self) -> Sequence[Host]:
        """The machines with their capacity; none if your hypervisor hides them."""
        # YOURS: what it knows of them, in bytes; None for what it does not know (sentence 15).
        return [Host(HOST, self._client.cpus, self._client.memory)]

    # --- making ---

    def prepare(self, spec: VMSpec) -> VMSpec:
        """Complete and check an order, naming what is wrong in it; make nothing (sentence 4)."""
        # YOURS: whatever else your hypervisor would refuse, before anything is made.
        if spec.host not in ("", HOST):
            raise NotFoundError(
                f"there is no host {spec.host!r}", code="host-not-found", hint=f"use {HOST}"
            )
        if spec.disk < spec.template.virtual_size:
            raise InvalidError(
                f"disk {spec.disk} is smaller than template {spec.template.name!r}",
                hint=f"ask for at least {spec.template.virtual_size} bytes",
            )
        machines = ask(self._client.list_machines)
        if any(spec.name == each.name for each in machines):
            raise ConflictError(
                f"there is a VM {spec.name!r}", code="vm-exists", hint="choose another name"
            )
        return replace(spec, interfaces=self._completed(spec.interfaces, machines))

    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:
        """What `create` would tell the hypervisor, as text; make nothing (sentence 4)."""
        # YOURS: the XML, the command lines, the JSON. `ims create-vm --dry-run` prints it.
        return json.dumps(asdict(described(spec, mark)), indent=2)

    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        """Make the VM, with its delivery and its mark, and leave it off (sentences 5 to 8)."""
        # YOURS: announce each thing before it is made, under a name with the operation's id (6).
        # Clean up nothing when it fails: what was announced is discarded (7). The name must be
        # taken by one request that refuses a namesake, however late it came (8).
        require_carrier(self, delivery)
        machine = described(spec, mark)
        undo.announce("volume", machine.disk)
        ask(self._client.clone_image, machine.image, machine.disk, spec.disk)
        undo.announce("volume", machine.cd)
        ask(self._client.write_volume, machine.cd, delivery.medium)
        undo.announce("vm", machine.uuid)
        ask(self._client.define, machine)

    def discard(self, resource: Resource) -> Discarded:
        """Remove one announced thing, if it is that operation's (sentence 9)."""
        # YOURS: one case for each kind that you announce.
        remove: Callable[[str], bool]
        match resource.kind:
            case "vm":
                return self._discard_machine(resource)
            case "volume":
                there = resource.name in ask(self._client.list_volumes)
                remove = self._client.delete_volume
            case "image":
                there = resource.name in ask(self._client.list_images)
                remove = self._client.delete_image
            case _:
                return Discarded.ABSENT
        stem = resource.name.rpartition(".")[0]
        if there and not (resource.operation and stem.endswith(f"-{resource.operation}")):
            return Discarded.NOT_OURS
        return Discarded.REMOVED if ask(remove, resource.name) else Discarded.ABSENT

    # --- running ---

    def start(self, vm: str, delivery: Delivery | None) -> None:
        """Put the delivery in place, say so in the mark, then start (sentence 10)."""
        machine = self._existing(vm)
        refuse_suspended(machine)
        if state_of(machine) not in OFF:
            raise ConflictError(f"VM {machine.name!r} runs", code="vm-running", vm=machine.name)
        mark = mark_of(machine)
        # YOURS: in this order. What the mark says already is in place already (10).
        if delivery is not None and mark is not None and mark.nonce != delivery.nonce:
            ask(self._client.write_volume, machine.cd, delivery.medium)
            self.write_mark(vm, replace(mark, digest=delivery.digest, nonce=delivery.nonce))
        ask(self._client.power_on, vm)

    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        """Ask the guest and wait until it is off, or take its power away (sentence 11)."""
        end = time.monotonic() + timeout
        machine = self._existing(vm)
        if state_of(machine) in OFF:
            return
        # YOURS: the two requests; a power button by which the guest shuts down, and a power plug.
        if force:
            ask(self._client.power_off, vm)
            return
        refuse_suspended(machine)
        ask(self._client.press_power_button, vm)
        while state_of(self._existing(vm)) not in OFF:
            if time.monotonic() >= end:
                raise DeadlineError(
                    f"VM {machine.name!r} did not stop within {timeout:g} s",
                    vm=machine.name,
                    hint="give it more time, or take its power away with --force",
                )
            time.sleep(0.1)

    def delete(self, vm: str) -> None:
        """Remove it, on or off, whole or half gone, with all that was made for it (sentence 12)."""
        machine = self._find(vm)
        if machine is None:
            return
        ours = (mark := mark_of(machine)) is not None and mark.operation
        if not ours:
            refuse_suspended(machine)
        if state_of(machine) not in OFF:
            ask(self._client.power_off, vm)
        # YOURS: what `create` made, and the mark last of all, so that this can be done again. The
        # disks of a VM that was adopted are not ours (12).
        if ours:
            ask(self._client.delete_volume, machine.disk)
            ask(self._client.delete_volume, machine.cd)
        ask(self._client.undefine, vm)

    def write_mark(self, vm: str, mark: Mark) -> None:
        """Replace the mark in one step, that cannot be seen half done."""
        ask(self._client.set_tag, vm, MARK, mark_text(mark))

    def set_addresses(self, vm: str, interfaces: Sequence[Interface]) -> Sequence[Interface]:
        """Check and complete them as `prepare` does, and note them down."""
        # YOURS: where your hypervisor runs a network's DHCP, reserve these there, and give back
        # those that the VM no longer has.
        self._existing(vm)
        others = [each for each in ask(self._client.list_machines) if each.uuid != vm]
        cards = self._completed(interfaces, others)
        ask(self._client.set_tag, vm, ADDRESSES, promised(cards))
        return cards

    # --- looking ---

    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,
    ) -> Sequence[VM]:
        """VMs by name or UUID as they are now, foreign ones too (sentences 14 to 17)."""
        # YOURS: as few requests as there can be, however many VMs there are (14). If reading a mark
        # takes one more, do without for those that are `known`.
        machines = self._listed(vms)
        volumes = ask(self._client.list_volumes)
        leases = ask(self._client.list_leases) if evidence else {}
        serial = ask(self._client.serial_logs) if evidence else {}
        return [seen(each, volumes, leases, serial) for each in machines]

    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        """Counters of those that run, by name or UUID; None for what is not known (14, 15)."""
        # YOURS: the counters that your hypervisor has, in seconds and bytes.
        now, uptimes = time.time(), ask(self._client.uptimes)
        return [
            Metrics(
                name=each.name,
                uuid=each.uuid,
                timestamp=now,
                cpu_seconds=0.02 * uptimes[each.uuid],
                vcpus=each.cpus,
                memory_max_bytes=each.memory,
            )
            for each in self._listed(vms)
            if each.uuid in uptimes
        ]

    # YOURS: the optional features of your hypervisor, each a protocol of `ims_core.spi`: Console,
    # ConsoleLog, LiveContext, Suspend, Pause, Snapshots, Clone. A feature is there exactly when all
    # methods of its protocol are (19), and then the suite tests it.

    # --- parts ---

    def _listed(self, vms: Collection[str] | None) -> list[Machine]:
        machines = ask(self._client.list_machines)
        return [each for each in machines if vms is None or each.uuid in vms or each.name in vms]

    def _find(self, vm: str) -> Machine | None:
        return next((each for each in self._listed([vm]) if each.uuid == vm), None)

    def _existing(self, vm: str) -> Machine:
        """The VM of this UUID, which must be there (sentence 17)."""
        if machine := self._find(vm):
            return machine
        raise NotFoundError(f"there is no VM {vm!r}", code="vm-not-found", vm=vm)

    def _completed(
        self, cards: Sequence[Interface], machines: Sequence[Machine]
    ) -> tuple[Interface, ...]:
        """Cards completed, where these other VMs have their addresses."""
        addresses = taken(machines, ask(self._client.list_leases))
        return completed(cards, ask(self._client.list_networks), self._network, addresses)

    def _discard_machine(self, resource: Resource) -> Discarded:
        machine = self._find(resource.name)
        if machine is None:
            return Discarded.ABSENT
        mark = mark_of(machine)
        if mark is None or not mark.operation or mark.operation != resource.operation:
            return Discarded.NOT_OURS
        if state_of(machine) not in OFF:
            ask(self._client.power_off, machine.uuid)
        return Discarded.REMOVED if ask(self._client.undefine, machine.uuid) else Discarded.ABSENT
