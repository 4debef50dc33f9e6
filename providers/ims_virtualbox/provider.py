"""The virtualbox provider: the SPI's methods, by VBoxManage and a few scripts beside it."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ims_core.console import last_lines
from ims_core.errors import ConflictError, InvalidError, NotFoundError
from ims_core.models import Carrier, CarrierLimits, Features
from ims_core.spi import NOTHING_KNOWN, Discarded, Provider, require_carrier
from ims_shell.facts import room_in
from ims_shell.opening import open_shell
from ims_shell.templates import Templates
from ims_virtualbox import checks, delivering, looking, metrics, running, snapshots, surveying
from ims_virtualbox.host import VirtualBoxHost, patiently
from ims_virtualbox.making import Maker, Source, remove_folder, remove_machine
from ims_virtualbox.names import ADDRESSES, IMAGE, Folder
from ims_virtualbox.networks import Networks, promises
from ims_virtualbox.scripts import script

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic import BaseModel

    from ims_core.models import (
        VM,
        Delivery,
        Finding,
        Host,
        Interface,
        Mark,
        Metrics,
        Resource,
        Snapshot,
        Template,
        VMSpec,
    )
    from ims_core.spi import Progress, UndoLog
    from ims_shell.shell import Shell
    from ims_virtualbox.surveying import Found, Survey

__all__ = ["VirtualBoxProvider"]

MIB = 1 << 20
CONSOLE_BYTES = 64 << 10
# include/VBox/HostServices/GuestPropertySvc.h: at most 256 properties of 127 characters each.
_PROPERTIES = CarrierLimits(max_bytes=24_000, max_value_bytes=127, live=True)


class VirtualBoxProvider(Provider):
    """Virtual machines of one user of a VirtualBox host."""

    name: ClassVar[str] = "virtualbox"
    spi: ClassVar[str] = "1.0"
    features: ClassVar[Features] = Features(
        carriers={
            Carrier.ISO: CarrierLimits(max_bytes=64 * MIB, live=True),
            Carrier.GUEST_PROPERTIES: _PROPERTIES,
        },
        template_formats=("vdi",),
        address_sources=("receipt", "agent", "lease"),
        receipts=True,
    )

    def __init__(self, shell: Shell, settings: Mapping[str, Any]) -> None:
        """Use a shell on the host; :meth:`open` makes one."""
        self.shell = shell
        self._settings = settings

    # --- connection ---

    @classmethod
    def settings(cls) -> type[BaseModel]:
        """See :mod:`ims_virtualbox.settings`."""
        from ims_virtualbox.settings import Settings  # noqa: PLC0415 - pydantic costs 50 ms

        return Settings

    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        """Connect to the host."""
        return cls(open_shell(settings), settings)

    @property
    def endpoint(self) -> str:
        """Where the host is."""
        return self.shell.endpoint

    @property
    def identity(self) -> str:
        """The host's machine id, whose VirtualBox it is, and the directory."""
        machine, user, _ = self._whose
        return f"{machine}/{user}{self._host.directory}"

    @cached_property
    def _whose(self) -> tuple[str, str, str]:
        told = VirtualBoxHost(self.shell, "/", script).call("whose", subject="VirtualBox host")
        machine, user, home = (*told.decode(errors="replace").splitlines(), "", "", "")[:3]
        return machine, user, home

    @cached_property
    def _host(self) -> VirtualBoxHost:
        directory = str(self._settings["directory"])
        if directory.startswith("~"):
            directory = self._whose[2] + directory[1:]
        return VirtualBoxHost(self.shell, directory, script)

    @cached_property
    def _maker(self) -> Maker:
        return Maker(self._host, self._settings)

    @cached_property
    def _templates(self) -> Templates:
        return Templates(self._host, IMAGE)

    def close(self) -> None:
        """Close the connection."""
        self.shell.close()

    def check(self) -> Iterator[Finding]:
        """See :mod:`ims_virtualbox.checks`."""
        return checks.check(self._host)

    def hosts(self) -> Sequence[Host]:
        """The one machine."""
        return [checks.host_of(self._host.call("host", subject="host").decode(errors="replace"))]

    # --- making ---

    def prepare(self, spec: VMSpec) -> VMSpec:
        """Complete the cards, and refuse what is taken or cannot be."""
        self._check_order(spec)
        seen = surveying.survey(self._host)
        if taken := surveying.taken_name(spec.name, spec.uuid, seen):
            raise taken
        return replace(spec, interfaces=self._completed(spec.interfaces, spec.uuid, seen))

    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:
        """VBoxManage's command lines."""
        return self._maker.plan(spec, delivery, mark)

    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        """Make the machine, with a disk that depends on its template's or is a copy."""
        require_carrier(self, delivery)
        self._maker.make(spec, delivery, mark, undo, self._maker.source_of(spec))

    def clone(
        self, source: str, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog
    ) -> None:
        """Make the machine with a copy of another's disk."""
        machine, _ = surveying.find(self._host, source)
        running.refuse_saved(machine)
        running.refuse_running(machine)
        disk = Source(machine.settings.root, "", linked=False, size=spec.disk)
        self._maker.make(spec, delivery, mark, undo, disk)

    def write_mark(self, vm: str, mark: Mark) -> None:
        """Replace the extra data that holds it."""
        machine, _ = surveying.find(self._host, vm)
        delivering.write_mark(self._host, machine, mark)

    def discard(self, resource: Resource) -> Discarded:
        """Remove a VM, a folder, a snapshot or a template, if that operation made it."""
        operation, name = resource.operation, resource.name
        if not operation or (resource.kind != "vm" and not resource.carries_operation):
            return Discarded.NOT_OURS
        if resource.kind == "snapshot":
            return snapshots.discard(self._host, name, operation)
        if resource.kind in ("vm", "vm-folder"):
            return patiently(lambda: self._discard_vm(resource))
        found = self._host.call(
            "discard_template", resource.kind, name, operation, subject=f"{resource.kind} {name}"
        )
        return Discarded(found.decode().strip())

    # --- running ---

    def start(self, vm: str, delivery: Delivery | None) -> None:
        """Put the delivery in place, then start the machine without a window."""
        machine, seen = surveying.find(self._host, vm)
        running.refuse_saved(machine)
        if machine.state == "gurumeditation":  # its process is there still
            running.power_off(self._host, machine)
        else:
            running.refuse_running(machine)
        mark = machine.mark
        if delivery is not None and mark is not None and mark.nonce != delivery.nonce:
            delivering.deliver(self._host, machine, mark, delivery)
        running.heal_forward(self._host, machine, seen, self._settings["ssh_ports"])
        running.power_on(self._host, machine)

    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        """Press the power button and watch, or take the power away."""
        machine, _ = surveying.find(self._host, vm)
        if force:
            running.power_off(self._host, machine)
        elif not machine.is_off:
            running.refuse_saved(machine)
            running.shut_down(self._host, machine, timeout)

    def pause(self, vm: str) -> None:
        """Hold its CPUs."""
        machine, _ = surveying.find(self._host, vm)
        running.pause(self._host, machine)

    def suspend(self, vm: str) -> None:
        """Have VirtualBox save its state."""
        machine, _ = surveying.find(self._host, vm)
        if not machine.is_saved:
            running.save(self._host, machine)

    def resume(self, vm: str) -> None:
        """Start it from there, or let its CPUs go on."""
        machine, _ = surveying.find(self._host, vm)
        running.resume(self._host, machine)

    def update_context(self, vm: str, delivery: Delivery) -> None:
        """Change the CD, or the properties."""
        machine, _ = surveying.find(self._host, vm)
        mark = machine.mark
        if machine.is_off or machine.is_saved or mark is None:
            raise ConflictError(
                f"VM {machine.name!r} is not running", code="vm-not-running", vm=machine.name
            )
        delivering.deliver(self._host, machine, mark, delivery)

    def delete(self, vm: str) -> None:
        """Remove the machine, its media and its folder; of one that was adopted, itself alone."""
        try:
            machine, _ = surveying.find(self._host, vm)
        except NotFoundError:
            patiently(lambda: self._remove_forgotten(vm))
            return
        ours = machine.mark is not None and machine.mark.operation
        if not ours and machine.is_saved:
            running.refuse_saved(machine)
        running.power_off(self._host, machine)
        remove_machine(self._host, machine if ours else replace(machine, folder=None))

    def set_addresses(self, vm: str, interfaces: Sequence[Interface]) -> Sequence[Interface]:
        """Check and complete them, and note them down; no DHCP of ours is to be told."""
        machine, seen = surveying.find(self._host, vm)
        completed = self._completed(interfaces, vm, seen)
        promised = promises(completed)
        if promised != machine.promised:
            words = ("setextradata", vm, ADDRESSES, " ".join(promised))
            self._host.manage(*words, subject=f"VM {machine.name}")
        return completed

    # --- looking ---

    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,  # noqa: ARG002 - marks come with the rest
    ) -> Sequence[VM]:
        """See :mod:`ims_virtualbox.looking`."""
        return looking.inspect(self._host, vms, evidence=evidence)

    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        """See :mod:`ims_virtualbox.metrics`."""
        found = metrics.read(self._host)
        return [each for each in found if vms is None or each.name in vms or each.uuid in vms]

    def console_tail(self, vm: str, lines: int) -> tuple[str, ...]:
        """The end of what its first serial port wrote to a file."""
        machine, _ = surveying.find(self._host, vm)
        if machine.folder is None:
            return ()
        arguments = (machine.folder.name, str(CONSOLE_BYTES))
        return last_lines(self._host.call("console", *arguments, subject=f"VM {vm}"), lines)

    # --- snapshots ---

    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        """See :mod:`ims_virtualbox.snapshots`."""
        snapshots.take(self._host, vm, name, undo)

    def list_snapshots(self, vm: str) -> Sequence[Snapshot]:
        """See :mod:`ims_virtualbox.snapshots`."""
        return snapshots.listed(self._host, vm)

    def restore_snapshot(self, vm: str, name: str) -> None:
        """See :mod:`ims_virtualbox.snapshots`."""
        snapshots.restore(self._host, vm, name)

    def delete_snapshot(self, vm: str, name: str) -> None:
        """See :mod:`ims_virtualbox.snapshots`."""
        snapshots.remove(self._host, vm, name)

    # --- templates ---

    def list_templates(self) -> Sequence[Template]:
        """See :mod:`ims_shell.templates`."""
        return self._templates.all()

    def find_template(self, name: str) -> Template | None:
        """The template of that name."""
        return next((each for each in self._templates.all() if each.name == name), None)

    def template_room(self) -> int | None:
        """What is free where the directory lies."""
        return room_in(self._host.call("room", subject="templates").decode())

    def import_template(
        self, files: Mapping[str, Path], template: Template, undo: UndoLog, progress: Progress
    ) -> None:
        """Upload the disk, then publish it."""
        self._templates.add(files, template, undo, progress)

    def delete_template(self, name: str) -> None:
        """Remove it unless a VM's disk depends on it."""
        try:
            self._templates.remove(name)
        except ConflictError as error:
            raise ConflictError(
                f"template {name!r} is in use: {error.message}",
                code="template-in-use",
                hint="delete the VMs that were made from it first",
                details=error.details,
            ) from None

    # --- parts ---

    def _check_order(self, spec: VMSpec) -> None:
        if spec.disk < spec.template.virtual_size:
            raise InvalidError(
                f"disk of {spec.disk} bytes is smaller than template {spec.template.name!r}"
                f" ({spec.template.virtual_size})",
                hint="leave --disk out, or ask for at least the template's size",
            )
        if spec.memory % MIB or not spec.memory:
            raise InvalidError(
                f"memory of {spec.memory} bytes: VirtualBox counts in MiB",
                hint="order a multiple of 1M",
            )
        if spec.host and spec.host not in (names := [each.name for each in self.hosts()]):
            raise NotFoundError(
                f"there is no host {spec.host!r}",
                code="host-not-found",
                hint=f"use {names[0]}",
            )

    def _completed(
        self, cards: Sequence[Interface], vm: str, seen: Survey
    ) -> tuple[Interface, ...]:
        default = self._settings["network"]
        names = {card.network or default for card in cards}
        networks = Networks.asked(self._host, names, self._settings["nat_subnet"])
        others = (each for each in seen.machines if each.uuid != vm)
        promised = {address: each.name for each in others for address in each.promised}
        return networks.completed(cards, default, promised)

    def _remove_forgotten(self, vm: str) -> None:
        """What is left of a machine that VirtualBox does not know any more."""
        for folder in surveying.forgotten(self._host, vm):
            remove_folder(self._host, folder)

    def _discard_vm(self, resource: Resource) -> Discarded:
        """What an operation made of a VM: the machine, or its folder."""
        operation, name = resource.operation, resource.name
        machines = surveying.survey(self._host).machines
        if resource.kind == "vm":
            found = next((each for each in machines if each.uuid == name), None)
            if found is None:
                return Discarded.ABSENT
        else:
            found = next((each for each in machines if _folder_name(each) == name), None)
            if found is None:
                return remove_folder(self._host, Folder(self._host.directory, name))
        if not _made_by(found, operation):
            return Discarded.NOT_OURS
        running.power_off(self._host, found)
        remove_machine(self._host, found)
        return Discarded.REMOVED


def _folder_name(machine: Found) -> str:
    return machine.folder.name if machine.folder is not None else ""


def _made_by(machine: Found, operation: str) -> bool:
    """By its mark; before it has one, by the folder that its settings are in."""
    if machine.mark is not None:
        return machine.mark.operation == operation
    return machine.folder is not None and machine.folder.operation == operation
