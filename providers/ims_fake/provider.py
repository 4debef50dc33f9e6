"""The provider's class: the SPI, method by method."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ims_core.models import Carrier, CarrierLimits, Features, Finding, Host
from ims_core.spi import NOTHING_KNOWN, Provider
from ims_fake.directory import Directory
from ims_fake.disk import put
from ims_fake.domain import OFF, SUSPENDED, Domain, to_json
from ims_fake.looking import counters, seen
from ims_fake.machines import HOST, Machines, describe
from ims_fake.network import Network
from ims_fake.pace import Pace
from ims_fake.power import Power
from ims_fake.pretended import Pretended
from ims_fake.refusals import refuse_running
from ims_fake.snapshots import KIND as SNAPSHOT
from ims_fake.snapshots import Snapshots
from ims_fake.templates import Templates
from ims_fake.vms import VMs
from ims_fake.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pydantic import BaseModel

    from ims_core.models import (
        VM,
        Change,
        Delivery,
        File,
        Interface,
        Mark,
        Metrics,
        Resource,
        Snapshot,
        Template,
        VMSpec,
    )
    from ims_core.spi import Discarded, Progress, UndoLog
    from ims_fake.guests import Guests

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
            Carrier.ISO: CarrierLimits(_MEDIUM_BYTES, live=True, overlay=True),
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
        self._capacity: int = settings["capacity"]
        self._pace = Pace(settings["delay"], frozenset(settings["fail"]), set(settings["busy"]))
        self._network = Network(settings["network"])
        self._directory = Directory(Path(settings["directory"]).expanduser())
        self._templates = Templates(self._directory, self._pace, self._capacity)
        self._guests = _guests(settings, self._directory)
        self._vms = VMs(self._directory, self._guests)
        self._machines = Machines(
            self._vms, self._network, self._templates, self._pace, self._capacity
        )
        self._snapshots = Snapshots(self._vms, self._machines, self._pace, self._capacity)
        self._power = Power(self._vms, self._network, self._machines, self._pace)
        self._watcher = Watcher(self._vms)

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
        domains = self._vms.found()
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
        self._machines.clone(self._vms.existing(source), spec, delivery, mark, undo)

    def start(self, vm: str, delivery: Delivery | None) -> None:
        """See the SPI."""
        self._power.start(vm, delivery)

    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        """See the SPI."""
        self._power.stop(vm, force=force, timeout=timeout)

    def suspend(self, vm: str) -> None:
        """See the SPI."""
        self._power.suspend(vm)

    def resume(self, vm: str) -> None:
        """See the SPI."""
        self._power.resume(vm)

    def pause(self, vm: str) -> None:
        """See the SPI."""
        self._power.pause(vm)

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
        self._vms.change(vm, lambda domain: replace(domain, mark=mark))

    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,  # noqa: ARG002 - a mark is read with its VM
    ) -> Sequence[VM]:
        """See the SPI."""
        self._pace.look("inspect")
        return [seen(self._vms, each, evidence=evidence) for each in self._vms.found(vms)]

    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        """See the SPI."""
        self._pace.look("metrics")
        now = time.time()
        return [counters(each, now) for each in self._vms.found(vms) if each.state == "running"]

    def set_addresses(self, vm: str, interfaces: Sequence[Interface]) -> Sequence[Interface]:
        """See the SPI."""
        self._pace.step("set-addresses")

        def changed(domain: Domain) -> Domain:
            cards = self._machines.complete(domain, tuple(interfaces))
            dynamic = {card.mac for card in cards if not card.addresses}
            leases = {mac: lease for mac, lease in domain.leases.items() if mac in dynamic}
            return replace(domain, interfaces=cards, leases=leases)

        return self._vms.change(vm, changed).interfaces

    def update_context(self, vm: str, delivery: Delivery) -> None:
        """See the SPI."""
        self._power.tell(vm, delivery)

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
        self._snapshots.take(self._vms.existing(vm), name, undo)

    def list_snapshots(self, vm: str) -> Sequence[Snapshot]:
        """See the SPI."""
        return self._snapshots.all(self._vms.existing(vm))

    def restore_snapshot(self, vm: str, name: str) -> None:
        """See the SPI."""
        self._snapshots.restore(self._vms.existing(vm), name)

    def delete_snapshot(self, vm: str, name: str) -> None:
        """See the SPI."""
        self._snapshots.delete(self._vms.existing(vm), name)

    # --- what the hypervisor tells, and disks ---

    def changes(self, timeout: float) -> Sequence[Change]:
        """See the SPI."""
        self._pace.look("changes")
        return self._watcher.changes(timeout)

    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:  # noqa: ARG002
        """See the SPI."""
        self._pace.step("inject-files")
        with self._directory.locked():
            domain = self._vms.existing(vm)
            refuse_running(domain)
            put(self._directory, domain.volume, files)

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
        domain = self._vms.existing(vm)
        printed = self._guests.console(domain)[-lines:] if lines > 0 else ()
        return tuple("".join(filter(str.isprintable, line)) for line in printed)


def _guests(settings: Mapping[str, Any], directory: Directory) -> Guests:
    """Those that the settings ask for."""
    if settings["guests"] == "processes":
        from ims_fake.processes import Processes  # noqa: PLC0415 - only for those who ask for it

        return Processes(
            directory, seconds=settings["guest_seconds"], shutdown=settings["shutdown"]
        )
    return Pretended(
        directory,
        receipts=settings["receipts"],
        obedient=settings["shutdown"] == "obeys",
        delay=settings["delay"],
    )
