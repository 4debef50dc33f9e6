"""The provider's class: the SPI, method by method."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ims_core.errors import ConflictError, DeadlineError, HypervisorError
from ims_core.models import Carrier, CarrierLimits, Features, Finding, Host
from ims_core.spi import NOTHING_KNOWN, Provider
from ims_fake import guest
from ims_fake.directory import Directory
from ims_fake.domain import OFF, PAUSED, SUSPENDED, Domain, to_json
from ims_fake.looking import counters, problem_of, seen
from ims_fake.machines import HOST, Machines, check_carrier, describe, seed_bytes
from ims_fake.network import Network, holders
from ims_fake.pace import Pace
from ims_fake.refusals import (
    not_running,
    refuse_off,
    refuse_running,
    refuse_suspended,
    vm_missing,
)
from ims_fake.snapshots import KIND as SNAPSHOT
from ims_fake.snapshots import Snapshots
from ims_fake.templates import Templates

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from pydantic import BaseModel

    from ims_core.models import (
        VM,
        Delivery,
        Interface,
        Mark,
        Metrics,
        Resource,
        Snapshot,
        Template,
        VMSpec,
    )
    from ims_core.spi import Discarded, Progress, UndoLog

__all__ = ["FakeProvider"]

MEMORY = 1 << 40
_MEDIUM_BYTES = 64 << 20
_VALUES_BYTES = 24_000  # as much as VirtualBox keeps
_VALUE_BYTES = 128
_LONGEST_PAUSE = 0.05


class FakeProvider(Provider):
    """VMs that are files in a directory; see the package."""

    name: ClassVar[str] = "fake"
    spi: ClassVar[str] = "1.0"
    features: ClassVar[Features] = Features(
        carriers={
            Carrier.ISO: CarrierLimits(_MEDIUM_BYTES, live=True),
            Carrier.GUEST_PROPERTIES: CarrierLimits(_VALUES_BYTES, _VALUE_BYTES, live=True),
        },
        template_formats=("qcow2", "raw"),
        address_sources=("lease", "receipt"),
        receipts=True,
    )

    # --- connection ---

    @classmethod
    def settings(cls) -> type[BaseModel]:
        """See the SPI."""
        from ims_fake.settings import Settings  # noqa: PLC0415 - pydantic, only to validate

        return Settings

    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        """See the SPI."""
        return cls(settings)

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Open the directory."""
        self._settings = settings
        self._capacity: int = settings["capacity"]
        self._pace = Pace(settings["delay"], frozenset(settings["fail"]), set(settings["busy"]))
        self._network = Network(settings["network"])
        self._directory = Directory(Path(settings["directory"]).expanduser())
        self._templates = Templates(self._directory, self._pace, self._capacity)
        self._machines = Machines(
            self._directory, self._network, self._templates, self._pace, self._capacity
        )
        self._snapshots = Snapshots(self._directory, self._machines, self._pace, self._capacity)

    @property
    def endpoint(self) -> str:
        """The directory."""
        return str(self._directory.root.resolve())

    def close(self) -> None:
        """See the SPI; nothing is held between calls."""

    def check(self) -> Iterator[Finding]:
        """See the SPI."""
        root = self._directory.root
        free = self._capacity - self._directory.used()
        yield Finding("directory", f"{root}, {free} bytes left", ok=True)
        for step in sorted(self._pace.fail):
            yield Finding("settings", f"step {step} fails", f"remove {step!r} from `fail`")

    def hosts(self) -> Sequence[Host]:
        """See the SPI."""
        domains = self._directory.domains()
        used = sum(each.memory or 0 for each in domains if each.state not in (*OFF, SUSPENDED))
        return (Host(HOST, os.cpu_count() or 1, MEMORY, MEMORY - used),)

    # --- VMs ---

    def prepare(self, spec: VMSpec) -> VMSpec:
        """See the SPI."""
        self._pace.look("prepare")
        return self._machines.prepare(spec)

    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:
        """See the SPI; the description that would be written."""
        return to_json(describe(spec, delivery, mark))

    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        """See the SPI."""
        self._machines.create(spec, delivery, mark, undo)

    def clone(
        self, source: str, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog
    ) -> None:
        """See the SPI."""
        self._machines.clone(self._existing(source), spec, delivery, mark, undo)

    def start(self, vm: str, delivery: Delivery | None) -> None:
        """See the SPI."""
        self._pace.step("start.seed")
        domain = self._change(vm, lambda found: self._delivered(found, delivery))
        self._pace.step("start")
        if problem := problem_of(self._directory, domain):
            raise HypervisorError(f"VM {domain.name!r} cannot start: {problem}", vm=domain.name)
        self._change(vm, self._powered_on)

    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        """See the SPI."""
        end = time.monotonic() + timeout
        domain = self._existing(vm)
        if domain.state in OFF:
            return
        if not force:
            refuse_suspended(domain)
        if force or (self._settings["shutdown"] == "obeys" and self._pace.delay <= timeout):
            self._pace.step("stop")
            self._change(vm, _powered_off)
            self._machines.forget_memory(vm)
            return
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(_LONGEST_PAUSE, left))
            if self._existing(vm).state in OFF:
                return
        raise DeadlineError(
            f"VM {vm} did not stop within {timeout:g} s",
            vm=vm,
            hint="give it more time, or take its power away with --force",
        )

    def suspend(self, vm: str) -> None:
        """See the SPI."""
        domain = self._existing(vm)
        if domain.state == SUSPENDED:
            return
        refuse_off(domain)
        self._machines.save_memory(domain)
        try:
            self._pace.step("suspend")
            self._change(vm, _put_aside)
        except BaseException:
            self._machines.forget_memory(vm)
            raise

    def resume(self, vm: str) -> None:
        """See the SPI; what was saved goes last, so that this can be done again."""
        self._pace.step("resume")
        self._change(vm, self._going_on)
        self._machines.forget_memory(vm)

    def pause(self, vm: str) -> None:
        """See the SPI."""
        self._pace.step("pause")
        self._change(vm, _held)

    def delete(self, vm: str) -> None:
        """See the SPI."""
        self._pace.step("delete")
        with self._directory.locked():
            if domain := self._directory.domain(vm):
                self._machines.refuse_theirs(domain)
                self._snapshots.forget(vm)
                self._machines.delete(domain)

    def write_mark(self, vm: str, mark: Mark) -> None:
        """See the SPI."""
        self._pace.step("write-mark")
        self._change(vm, lambda domain: replace(domain, mark=mark))

    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,  # noqa: ARG002 - a mark is read with its VM
    ) -> Sequence[VM]:
        """See the SPI."""
        self._pace.look("inspect")
        return [seen(self._directory, each, evidence=evidence) for each in self._found(vms)]

    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        """See the SPI."""
        self._pace.look("metrics")
        now = time.time()
        return [counters(each, now) for each in self._found(vms) if each.state == "running"]

    def set_addresses(self, vm: str, interfaces: Sequence[Interface]) -> Sequence[Interface]:
        """See the SPI."""
        self._pace.step("set-addresses")

        def changed(domain: Domain) -> Domain:
            cards = self._machines.complete(domain, tuple(interfaces))
            dynamic = {card.mac for card in cards if not card.addresses}
            leases = {mac: lease for mac, lease in domain.leases.items() if mac in dynamic}
            return replace(domain, interfaces=cards, leases=leases)

        return self._change(vm, changed).interfaces

    def update_context(self, vm: str, delivery: Delivery) -> None:
        """See the SPI."""
        self._pace.step("update-context")
        self._change(vm, lambda domain: self._told_again(domain, delivery))

    def discard(self, resource: Resource) -> Discarded:
        """See the SPI."""
        if resource.kind == SNAPSHOT:
            self._pace.step("discard.snapshot")
            with self._directory.locked():
                return self._snapshots.discard(resource)
        return self._machines.discard(resource)

    # --- snapshots ---

    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        """See the SPI."""
        self._snapshots.take(self._existing(vm), name, undo)

    def list_snapshots(self, vm: str) -> Sequence[Snapshot]:
        """See the SPI."""
        return self._snapshots.all(self._existing(vm))

    def restore_snapshot(self, vm: str, name: str) -> None:
        """See the SPI."""
        self._snapshots.restore(self._existing(vm), name)

    def delete_snapshot(self, vm: str, name: str) -> None:
        """See the SPI."""
        self._snapshots.delete(self._existing(vm), name)

    # --- templates ---

    def list_templates(self) -> Sequence[Template]:
        """See the SPI."""
        return self._templates.all()

    def find_template(self, name: str) -> Template | None:
        """See the SPI."""
        return self._templates.find(name)

    def template_room(self) -> int | None:
        """See the SPI."""
        return self._capacity - self._directory.used()

    def import_template(
        self, files: Mapping[str, Path], template: Template, undo: UndoLog, progress: Progress
    ) -> None:
        """See the SPI."""
        self._templates.add(files["image"], template, undo, progress)

    def delete_template(self, name: str) -> None:
        """See the SPI."""
        self._templates.delete(name)

    # --- console ---

    def console_tail(self, vm: str, lines: int) -> tuple[str, ...]:
        """See the SPI."""
        printed = self._existing(vm).console[-lines:] if lines > 0 else ()
        return tuple("".join(filter(str.isprintable, line)) for line in printed)

    # --- parts ---

    def _found(self, vms: Collection[str] | None) -> list[Domain]:
        domains = self._directory.domains()
        if vms is None:
            return domains
        return [each for each in domains if each.uuid in vms or each.name in vms]

    def _existing(self, vm: str) -> Domain:
        if domain := self._directory.domain(vm):
            return domain
        raise vm_missing(vm)

    def _change(self, vm: str, change: Callable[[Domain], Domain]) -> Domain:
        """Replace a VM's description by a changed one, in one step."""
        with self._directory.locked():
            domain = self._existing(vm)
            if domain.unreadable:
                raise HypervisorError(
                    f"the description of VM {vm} cannot be read: {domain.unreadable}", vm=vm
                )
            changed = change(domain)
            self._directory.save(changed)
            return changed

    def _delivered(self, domain: Domain, delivery: Delivery | None) -> Domain:
        """The VM with this delivery in place."""
        refuse_running(domain)
        mark = domain.mark
        if delivery is None or mark is None or mark.nonce == delivery.nonce:
            return domain
        check_carrier(delivery)
        self._directory.write(self._directory.path("seed", domain.seed), seed_bytes(delivery))
        return replace(domain, mark=replace(mark, digest=delivery.digest, nonce=delivery.nonce))

    def _told_again(self, domain: Domain, delivery: Delivery) -> Domain:
        """The running VM with this delivery in place, and what its guest made of it."""
        if domain.state in (*OFF, SUSPENDED) or domain.mark is None:
            raise not_running(domain)
        check_carrier(delivery)
        seed = seed_bytes(delivery)
        self._directory.write(self._directory.path("seed", domain.seed), seed)
        behaviour = self._settings["receipts"]
        answer = guest.boot(domain.name, seed, domain.carrier, behaviour, domain.leases)
        return replace(
            domain,
            mark=replace(domain.mark, digest=delivery.digest, nonce=delivery.nonce),
            receipt=answer.receipt or domain.receipt,
            console=domain.console + answer.console[1:],
        )

    def _going_on(self, domain: Domain) -> Domain:
        """The VM running again, with all that its guest did before."""
        if domain.state in OFF:
            raise ConflictError(
                f"VM {domain.name!r} is off, and nothing of it was saved",
                code="vm-not-suspended",
                vm=domain.name,
                hint=f"`ims start-vm {domain.name}`",
            )
        if problem := problem_of(self._directory, domain):
            raise HypervisorError(f"VM {domain.name!r} cannot go on: {problem}", vm=domain.name)
        return replace(domain, state="running")

    def _powered_on(self, domain: Domain) -> Domain:
        """The VM running, with what its guest did in its first moment."""
        refuse_running(domain)
        leases = dict(domain.leases)
        taken = holders(self._directory.domains())
        for card in domain.interfaces:
            if not card.addresses and card.mac not in leases:
                leases[card.mac] = self._network.lease(taken)
                taken[leases[card.mac].partition("/")[0]] = domain.name
        seed = self._directory.path("seed", domain.seed).read_bytes() if domain.seed else b""
        behaviour = self._settings["receipts"]
        answer = guest.boot(domain.name, seed, domain.carrier, behaviour, leases)
        return replace(
            domain,
            state="running",
            started=time.time(),
            leases=leases,
            receipt=answer.receipt or domain.receipt,
            console=answer.console,
        )


def _powered_off(domain: Domain) -> Domain:
    return domain if domain.state in OFF else replace(domain, state="off")


def _held(domain: Domain) -> Domain:
    refuse_off(domain)
    refuse_suspended(domain)
    return replace(domain, state=PAUSED)


def _put_aside(domain: Domain) -> Domain:
    refuse_off(domain)
    return replace(domain, state=SUSPENDED)
