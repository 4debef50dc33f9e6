"""The kvm provider: the SPI's methods, each a few calls to the modules beside this one."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlsplit

import libvirt

import ims_guestfs
from ims_core.console import last_lines
from ims_core.errors import ConflictError, InvalidError, NotFoundError
from ims_core.models import VM, Carrier, CarrierLimits, Features, Host
from ims_core.spi import NOTHING_KNOWN, Discarded, Provider, require_carrier
from ims_kvm import checks, injecting, inspection, metrics, saved
from ims_kvm.acceleration import kvm_usable
from ims_kvm.announce import Guarded, announced
from ims_kvm.bounded import CALL_SECONDS, MAKING_SECONDS, bounded, within
from ims_kvm.connection import Link, choose_uri, libvirt_errors
from ims_kvm.console import LibvirtConsole
from ims_kvm.delivering import deliver, deliver_live
from ims_kvm.domain import build, files_of
from ims_kvm.evidence import SOURCES
from ims_kvm.mark import read_mark, read_storage, write_mark
from ims_kvm.networks import Networks
from ims_kvm.shutdown import shut_down
from ims_kvm.templates import Templates
from ims_kvm.undo import discard, power_off, remove_vm, resource_name
from ims_kvm.volumes import Paths, StoragePool, VolumeNames
from ims_kvm.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic import BaseModel

    from ims_core.models import (
        Change,
        Delivery,
        File,
        Finding,
        Interface,
        Mark,
        Metrics,
        Resource,
        Template,
        VMSpec,
    )
    from ims_core.spi import ConsoleStream, Progress, UndoLog

__all__ = ["KvmProvider"]

KIB = 1 << 10
MIB = 1 << 20
CONSOLE_BYTES = 64 * KIB


class KvmProvider(Provider):
    """Virtual machines of libvirt's QEMU driver."""

    name: ClassVar[str] = "kvm"
    spi: ClassVar[str] = "1.0"
    features: ClassVar[Features] = Features(
        carriers={
            Carrier.ISO: CarrierLimits(max_bytes=64 * MIB, live=True, overlay=True),
            Carrier.FAT_DISK: CarrierLimits(max_bytes=64 * MIB),
            Carrier.EXT2_DISK: CarrierLimits(max_bytes=64 * MIB),
            Carrier.SMBIOS: CarrierLimits(max_bytes=KIB, max_value_bytes=KIB),
        },
        template_formats=("qcow2", "raw"),
        address_sources=(*SOURCES, "receipt"),
        receipts=True,
    )

    def __init__(self, link: Link, pool: StoragePool, networks: Networks) -> None:
        """Use an open connection; :meth:`open` makes one."""
        self._link = link
        self.pool = pool
        self.networks = networks
        self.templates = Templates(pool)
        self._watcher = Watcher(link)

    # --- connection ---

    @classmethod
    def settings(cls) -> type[BaseModel]:
        """See :mod:`ims_kvm.settings`."""
        from ims_kvm.settings import Settings  # noqa: PLC0415 - pydantic costs 50 ms

        return Settings

    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        """Connect to libvirt."""
        uri = choose_uri(settings["uri"])
        link = Link(uri)
        session = uri.partition("?")[0].endswith("/session")
        path = settings["storage_path"] or checks.default_storage_path(uri)
        network = settings["network"] or ("user" if session else "default")
        pool = StoragePool(link, settings["storage_pool"], path)
        return cls(link, pool, Networks(link, network))

    @property
    def connection(self) -> libvirt.virConnect:
        """The connection to libvirt, made anew if it was lost."""
        return self._link.live

    @property
    def endpoint(self) -> str:
        """The libvirt URI in use."""
        with libvirt_errors("libvirt"):
            return str(self.connection.getURI())

    @property
    def identity(self) -> str:
        """The host's name, the driver's mode, and the storage pool."""
        with libvirt_errors("libvirt"):
            mode = urlsplit(self.connection.getURI()).path
            return f"{self.connection.getHostname()}{mode}/{self.pool.name}"

    def close(self) -> None:
        """Close the connection."""
        self._watcher.close()
        self._link.close()

    def check(self) -> Iterator[Finding]:
        """See :mod:`ims_kvm.checks`."""
        with libvirt_errors("check"):
            yield from within(
                CALL_SECONDS,
                lambda: list(
                    checks.check(self.connection, self.pool, self.templates, self.networks)
                ),
            )

    @bounded(CALL_SECONDS)
    def hosts(self) -> Sequence[Host]:
        """The one host behind the connection."""
        with libvirt_errors("host"):
            _, memory, cpus, *_ = self.connection.getInfo()
            name = self.connection.getHostname()
            return [Host(name, cpus, memory * MIB, self.connection.getFreeMemory())]

    # --- making ---

    @bounded(CALL_SECONDS)
    def prepare(self, spec: VMSpec) -> VMSpec:
        """Complete the cards, and refuse a name or an address that is taken."""
        with libvirt_errors(f"VM {spec.name}"):
            if self._exists(spec.name):
                raise ConflictError(
                    f"there is a VM {spec.name!r} already",
                    code="vm-exists",
                    vm=spec.name,
                    hint="choose another name, or `ims list-vms --all` to see whose it is",
                )
            if spec.host and spec.host != (host := self.connection.getHostname()):
                raise NotFoundError(
                    f"there is no host {spec.host!r}", code="host-not-found", hint=f"use {host}"
                )
            if spec.disk < spec.template.virtual_size:
                raise InvalidError(
                    f"disk of {spec.disk} bytes is smaller than template"
                    f" {spec.template.name!r} ({spec.template.virtual_size})",
                    hint="leave --disk out, or ask for at least the template's size",
                )
            cards = tuple(self.networks.complete(card) for card in spec.interfaces)
        return replace(spec, interfaces=cards)

    @bounded(CALL_SECONDS)
    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:
        """The domain XML."""
        with libvirt_errors(f"VM {spec.name}"):
            names = VolumeNames(spec.name, mark.operation)
            paths, accelerated = self._paths(spec, names), kvm_usable(self.connection)
            return build(spec, mark, paths, delivery, accelerated=accelerated)

    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        """Reserve its addresses, make its volumes, define the domain."""
        require_carrier(self, delivery)
        guarded = Guarded(undo)
        try:
            within(MAKING_SECONDS, lambda: self._create(spec, delivery, mark, guarded))
        except BaseException:
            guarded.close()
            raise

    @bounded(CALL_SECONDS)
    def write_mark(self, vm: str, mark: Mark) -> None:
        """Set the domain's metadata."""
        with self._domain(vm) as domain:
            write_mark(domain, mark)

    @bounded(CALL_SECONDS)
    def discard(self, resource: Resource) -> Discarded:
        """See :mod:`ims_kvm.undo`."""
        with libvirt_errors(f"{resource.kind} {resource.name}"):
            return discard(self, resource)

    # --- running ---

    @bounded(MAKING_SECONDS)
    def start(self, vm: str, delivery: Delivery | None) -> None:
        """Put the delivery in place, power on."""
        with self._domain(vm) as domain:
            if domain.isActive():
                raise ConflictError(
                    f"VM {domain.name()!r} is running", code="vm-running", vm=domain.name()
                )
            saved.refuse_suspended(domain)
            mark = read_mark(domain)
            if delivery is not None and mark is not None and mark.nonce != delivery.nonce:
                deliver(self.storage_of(domain), domain, mark, delivery)
            domain.create()

    @bounded(MAKING_SECONDS)
    def update_context(self, vm: str, delivery: Delivery) -> None:
        """See :mod:`ims_kvm.delivering`."""
        with self._domain(vm) as domain:
            deliver_live(self.storage_of(domain), domain, delivery)

    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        """Press the power button and watch, or pull the plug."""
        with self._domain(vm) as domain:
            if force:
                within(CALL_SECONDS, lambda: power_off(domain))
                within(CALL_SECONDS, lambda: saved.forget(domain))
            else:
                shut_down(self.connection, domain, timeout)

    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:
        """See :mod:`ims_kvm.injecting`."""
        with self._domain(vm) as domain:
            image, kind = within(CALL_SECONDS, lambda: injecting.disk_of(domain))
            accelerated = within(CALL_SECONDS, lambda: kvm_usable(self.connection))
        ims_guestfs.inject(image, kind, files, accelerated=accelerated, timeout=timeout)

    @bounded(MAKING_SECONDS)
    def suspend(self, vm: str) -> None:
        """See :mod:`ims_kvm.saved`."""
        with self._domain(vm) as domain:
            saved.save(domain)

    @bounded(MAKING_SECONDS)
    def resume(self, vm: str) -> None:
        """See :mod:`ims_kvm.saved`."""
        with self._domain(vm) as domain:
            saved.resume(domain)

    @bounded(MAKING_SECONDS)
    def delete(self, vm: str) -> None:
        """Remove the domain last: until then its mark tells what else belongs to it."""
        with libvirt_errors(f"VM {vm}"):
            remove_vm(self, vm)

    @bounded(MAKING_SECONDS)
    def set_addresses(self, vm: str, interfaces: Sequence[Interface]) -> Sequence[Interface]:
        """Replace the VM's DHCP host entries."""
        with self._domain(vm) as domain:
            name = domain.name()
            macs = [card.mac for card in interfaces]
            completed = [self.networks.complete(card, macs) for card in interfaces]
            for index, card in enumerate(completed):
                wanted = self.networks.reservation(card, name, index)
                present = [e for e in self.networks.entries(card.network) if e.mac == card.mac]
                if wanted and not present:
                    self.networks.add(card.network, wanted)
                elif domain.isActive() or domain.hasManagedSaveImage():
                    continue  # the guest has its address until it is off
                elif wanted and wanted not in present:
                    self.networks.replace(card.network, wanted)
                elif not wanted:
                    for entry in present:
                        self.networks.remove(card.network, entry)
            return completed

    # --- looking ---

    @bounded(CALL_SECONDS)
    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,
    ) -> Sequence[VM]:
        """See :mod:`ims_kvm.inspection`."""
        with libvirt_errors("VMs"):
            return inspection.inspect(self, vms, evidence=evidence, known=known)

    def changes(self, timeout: float) -> Sequence[Change]:
        """See :mod:`ims_kvm.watching`."""
        with libvirt_errors("events"):
            return within(timeout + CALL_SECONDS, lambda: self._watcher.changes(timeout))

    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        """One request for all; see :mod:`ims_kvm.metrics` for a VM that hangs."""
        with libvirt_errors("metrics"):
            found = metrics.read(self.connection)
            return [each for each in found if vms is None or each.name in vms or each.uuid in vms]

    # --- templates, console ---

    @bounded(CALL_SECONDS)
    def list_templates(self) -> Sequence[Template]:
        """The templates in the storage pool; none while it does not exist."""
        with libvirt_errors("templates"):
            try:
                return self.templates.all()
            except NotFoundError:
                return []

    @bounded(CALL_SECONDS)
    def find_template(self, name: str) -> Template | None:
        """The template of that name; none while the storage pool does not exist."""
        with libvirt_errors(f"template {name}"):
            try:
                return self.templates.find(name)
            except NotFoundError:
                return None

    @bounded(CALL_SECONDS)
    def template_room(self) -> int | None:
        """What is free in the storage pool; unknown while it does not exist."""
        with libvirt_errors("templates"):
            try:
                return self.pool.free()
            except NotFoundError:
                return None

    def import_template(
        self, files: Mapping[str, Path], template: Template, undo: UndoLog, progress: Progress
    ) -> None:
        """Upload through libvirt."""
        with libvirt_errors(f"template {template.name}"):
            self.templates.add(files["image"], template, undo, progress)

    @bounded(CALL_SECONDS)
    def delete_template(self, name: str) -> None:
        """Remove it unless a VM was made from it."""
        with libvirt_errors(f"template {name}"):
            if self.templates.remove_unfinished(name):
                return
            image = self.templates.image_path(name)
            for domain in self.connection.listAllDomains():
                if image in files_of(domain.XMLDesc()):
                    raise ConflictError(
                        f"template {name!r} is in use by VM {domain.name()!r}",
                        code="template-in-use",
                        vm=domain.name(),
                        hint="delete the VMs that were made from it first",
                    )
            self.templates.remove(name)

    @bounded(CALL_SECONDS)
    def console_tail(self, vm: str, lines: int) -> tuple[str, ...]:
        """The end of the console's log."""
        with self._domain(vm) as domain:
            mark = read_mark(domain)
            if mark is None or not mark.operation:
                return ()
            names = VolumeNames(domain.name(), mark.operation)
            raw = self.storage_of(domain).read(names.console, last=CONSOLE_BYTES)
        return last_lines(raw, lines)

    @bounded(CALL_SECONDS)
    def open_console(self, vm: str) -> ConsoleStream:
        """Attach to the serial port."""
        with self._domain(vm) as domain:
            if not domain.isActive():
                raise ConflictError(
                    f"VM {domain.name()!r} is not running",
                    code="vm-not-running",
                    hint=f"`ims start-vm {domain.name()}`; `--log` shows what it printed before",
                )
            return LibvirtConsole(self.connection, domain)

    # --- parts ---

    def storage_of(self, domain: libvirt.virDomain) -> StoragePool:
        """Where the files of a VM are: this pool's storage, or that of another on this libvirt."""
        name = read_storage(domain)
        if name in ("", self.pool.name):
            return self.pool
        return StoragePool(self._link, name, "")

    def _create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        with libvirt_errors(f"VM {spec.name}"):
            names = VolumeNames(spec.name, undo.operation)
            paths = self._paths(spec, names)
            accelerated = kvm_usable(self.connection)
            xml = build(spec, mark, paths, delivery, accelerated=accelerated)
            for index, card in enumerate(spec.interfaces):
                self._reserve(spec, card, index, undo)
            with announced(undo, "volume", names.root):
                self.pool.create_overlay(
                    names.root, spec.disk, paths.template, spec.template.format
                )
            self._make_medium(names.seeds[0], delivery.medium, undo)
            self._make_medium(names.overlays[0], delivery.overlay, undo)
            for name in (names.console, names.receipt):
                undo.announce("volume", name)  # QEMU's log daemon makes them at the start
            undo.announce("domain", spec.uuid)
            self.connection.defineXML(xml)

    def _exists(self, name: str) -> bool:
        try:
            self.connection.lookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
            return False
        return True

    @contextmanager
    def _domain(self, uuid: str) -> Iterator[libvirt.virDomain]:
        with libvirt_errors(f"VM {uuid}"):
            yield self.connection.lookupByUUIDString(uuid)

    def _paths(self, spec: VMSpec, names: VolumeNames) -> Paths:
        return Paths(
            self.pool.name,
            self.templates.image_path(spec.template.name),
            *map(self.pool.path_of, (names.root, names.seeds[0], names.overlays[0])),
            *map(self.pool.path_of, (names.console, names.receipt)),
        )

    def _make_medium(self, volume: str, content: bytes, undo: UndoLog) -> None:
        if content:
            with announced(undo, "volume", volume):
                self.pool.create_raw(volume, len(content))
            self.pool.fill(volume, content)

    def _reserve(self, spec: VMSpec, card: Interface, index: int, undo: UndoLog) -> None:
        entry = self.networks.reservation(card, spec.name, index)
        if entry is None:
            return
        with announced(undo, "dhcp-host", resource_name(card.network, entry, undo.operation)):
            self.networks.add(card.network, entry)
