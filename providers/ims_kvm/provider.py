"""The kvm provider: the SPI's methods, each a few calls to the modules beside this one."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import libvirt

from ims_bootparams.receipt import parse_receipt
from ims_core.errors import ConflictError, InvalidError, NotFoundError
from ims_core.models import VM, Carrier, CarrierLimits, Features, Host, State
from ims_core.spi import NOTHING_KNOWN, Discarded, Provider
from ims_kvm import checks
from ims_kvm.acceleration import kvm_usable
from ims_kvm.announce import announced
from ims_kvm.connection import choose_uri, connect, libvirt_errors
from ims_kvm.console import LibvirtConsole
from ims_kvm.domain import build, cards_of, files_of
from ims_kvm.evidence import SOURCES, addresses_of
from ims_kvm.mark import read_mark, read_storage, write_mark
from ims_kvm.metrics import GROUPS, metrics_from
from ims_kvm.networks import Networks
from ims_kvm.shutdown import shut_down
from ims_kvm.states import state_of
from ims_kvm.templates import Templates
from ims_kvm.undo import discard, power_off, remove_vm, resource_name
from ims_kvm.volumes import Paths, StoragePool, VolumeNames

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic import BaseModel

    from ims_core.models import (
        Delivery,
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
RECEIPT_BYTES = 64 * KIB
_LISTED = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
)


class KvmProvider(Provider):
    """Virtual machines of libvirt's QEMU driver."""

    name: ClassVar[str] = "kvm"
    features: ClassVar[Features] = Features(
        carriers={Carrier.ISO: CarrierLimits(max_bytes=64 * MIB)},
        template_formats=("qcow2", "raw"),
        address_sources=(*SOURCES, "receipt"),
        receipts=True,
    )

    def __init__(
        self, connection: libvirt.virConnect, pool: StoragePool, networks: Networks
    ) -> None:
        """Use an open connection; :meth:`open` makes one."""
        self.connection = connection
        self.pool = pool
        self.networks = networks
        self.templates = Templates(pool)

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
        connection = connect(uri)
        session = uri.partition("?")[0].endswith("/session")
        path = settings["storage_path"] or checks.default_storage_path(session=session)
        network = settings["network"] or ("user" if session else "default")
        return cls(
            connection,
            StoragePool(connection, settings["storage_pool"], path),
            Networks(connection, network),
        )

    @property
    def endpoint(self) -> str:
        """The libvirt URI in use."""
        with libvirt_errors("libvirt"):
            return str(self.connection.getURI())

    def close(self) -> None:
        """Close the connection."""
        with suppress(libvirt.libvirtError):  # it was lost, or closed before
            self.connection.close()

    def check(self) -> Iterator[Finding]:
        """See :mod:`ims_kvm.checks`."""
        with libvirt_errors("check"):
            yield from checks.check(self.connection, self.pool, self.networks)

    def hosts(self) -> Sequence[Host]:
        """The one host behind the connection."""
        with libvirt_errors("host"):
            _, memory, cpus, *_ = self.connection.getInfo()
            name = self.connection.getHostname()
            return [Host(name, cpus, memory * MIB, self.connection.getFreeMemory())]

    # --- making ---

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
            if spec.disk < spec.template.virtual_size:
                raise InvalidError(
                    f"disk of {spec.disk} bytes is smaller than template"
                    f" {spec.template.name!r} ({spec.template.virtual_size})",
                    hint="leave --disk out, or ask for at least the template's size",
                )
            cards = tuple(self.networks.complete(card) for card in spec.interfaces)
        return replace(spec, interfaces=cards)

    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:
        """The domain XML."""
        del delivery  # its bytes are a file beside the domain
        with libvirt_errors(f"VM {spec.name}"):
            names = VolumeNames(spec.name, mark.operation)
            accelerated = kvm_usable(self.connection)
            return build(spec, mark, self._paths(spec, names), accelerated=accelerated)

    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        """Reserve its addresses, make its volumes, define the domain."""
        with libvirt_errors(f"VM {spec.name}"):
            names = VolumeNames(spec.name, undo.operation)
            paths = self._paths(spec, names)
            xml = build(spec, mark, paths, accelerated=kvm_usable(self.connection))
            for card in spec.interfaces:
                self._reserve(spec, card, undo)
            with announced(undo, "volume", names.root):
                self.pool.create_overlay(
                    names.root, spec.disk, paths.template, spec.template.format
                )
            with announced(undo, "volume", names.seed):
                self.pool.create_raw(names.seed, len(delivery.medium))
            self.pool.write(names.seed, delivery.medium)
            for name in (names.console, names.receipt):
                with announced(undo, "volume", name):
                    self.pool.create_raw(name, 0)
            undo.announce("domain", spec.uuid)
            self.connection.defineXML(xml)

    def write_mark(self, vm: str, mark: Mark) -> None:
        """Set the domain's metadata."""
        with self._domain(vm) as domain:
            write_mark(domain, mark)

    def discard(self, resource: Resource) -> Discarded:
        """See :mod:`ims_kvm.undo`."""
        with libvirt_errors(f"{resource.kind} {resource.name}"):
            return discard(self, resource)

    # --- running ---

    def start(self, vm: str, delivery: Delivery | None) -> None:
        """Write the seed, note it in the mark, power on."""
        with self._domain(vm) as domain:
            if domain.isActive():
                raise ConflictError(
                    f"VM {domain.name()!r} is running", code="vm-running", vm=domain.name()
                )
            mark = read_mark(domain)
            if delivery is not None and mark is not None and mark.nonce != delivery.nonce:
                seed = VolumeNames(domain.name(), mark.operation).seed
                self.storage_of(domain).write(seed, delivery.medium)
                write_mark(domain, replace(mark, digest=delivery.digest, nonce=delivery.nonce))
            domain.create()

    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        """Press the power button and watch, or pull the plug."""
        with self._domain(vm) as domain:
            if force:
                power_off(domain)
            else:
                shut_down(self.connection, domain, timeout)

    def delete(self, vm: str) -> None:
        """Remove the domain last: until then its mark tells what else belongs to it."""
        with libvirt_errors(f"VM {vm}"):
            remove_vm(self, vm)

    def set_addresses(self, vm: str, interfaces: Sequence[Interface]) -> Sequence[Interface]:
        """Replace the VM's DHCP host entries."""
        with self._domain(vm) as domain:
            name = domain.name()
            macs = [card.mac for card in interfaces]
            completed = [self.networks.complete(card, macs) for card in interfaces]
            for card in completed:
                wanted = self.networks.reservation(card, name)
                present = [e for e in self.networks.entries(card.network) if e.mac == card.mac]
                for entry in present:
                    if entry != wanted:
                        self.networks.remove(card.network, entry)
                if wanted and wanted not in present:
                    self.networks.add(card.network, wanted)
            return completed

    # --- looking ---

    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,
    ) -> Sequence[VM]:
        """One bulk request for states and sizes, one for volumes, one for each unknown mark."""
        with libvirt_errors("VMs"):
            records = self._records(_LISTED, vms)
            found = [(domain, self._vm(domain, stats, known)) for domain, stats in records]
            if vms is None:
                found = list(self._with_problems(found, known))
            if evidence:
                return [self._with_evidence(domain, vm) for domain, vm in found]
            return [vm for _, vm in found]

    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        """One request for all."""
        with libvirt_errors("metrics"):
            timestamp = time.time()
            active = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
            return [
                metrics_from(domain.name(), domain.UUIDString(), stats, timestamp)
                for domain, stats in self._records(GROUPS, vms, active)
            ]

    # --- templates, console ---

    def list_templates(self) -> Sequence[Template]:
        """The templates in the storage pool; none while it does not exist."""
        with libvirt_errors("templates"):
            try:
                return self.templates.all()
            except NotFoundError:
                return []

    def template_room(self) -> int | None:
        """What is free in the storage pool; unknown while it does not exist."""
        with libvirt_errors("templates"):
            try:
                return self.pool.free()
            except NotFoundError:
                return None

    def import_template(
        self, image: Path, template: Template, undo: UndoLog, progress: Progress
    ) -> None:
        """Upload through libvirt."""
        with libvirt_errors(f"template {template.name}"):
            self.templates.add(image, template, undo, progress)

    def delete_template(self, name: str) -> None:
        """Remove it unless a VM was made from it."""
        with libvirt_errors(f"template {name}"):
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

    def console_tail(self, vm: str, lines: int) -> tuple[str, ...]:
        """The end of the console's log."""
        with self._domain(vm) as domain:
            mark = read_mark(domain)
            if mark is None:
                return ()
            names = VolumeNames(domain.name(), mark.operation)
            raw = self.storage_of(domain).read(names.console, last=CONSOLE_BYTES)
            text = raw.decode(errors="replace")
        printable = ("".join(c for c in line if c.isprintable()) for line in text.splitlines())
        kept = [line for line in printable if line.strip()]
        return tuple(kept[len(kept) - min(lines, len(kept)) :])

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
        return StoragePool(self.connection, name, "")

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
            *map(self.pool.path_of, (names.root, names.seed, names.console, names.receipt)),
        )

    def _reserve(self, spec: VMSpec, card: Interface, undo: UndoLog) -> None:
        entry = self.networks.reservation(card, spec.name)
        if entry is None:
            return
        with announced(undo, "dhcp-host", resource_name(card.network, entry, undo.operation)):
            self.networks.add(card.network, entry)

    def _records(
        self, groups: int, vms: Collection[str] | None, flags: int = 0
    ) -> list[tuple[libvirt.virDomain, Mapping[str, Any]]]:
        records = self.connection.getAllDomainStats(groups, flags)
        return [
            (domain, stats)
            for domain, stats in records
            if vms is None or domain.name() in vms or domain.UUIDString() in vms
        ]

    def _vm(
        self, domain: libvirt.virDomain, stats: Mapping[str, Any], known: Mapping[str, Mark]
    ) -> VM:
        uuid = domain.UUIDString()
        reason = stats.get("state.reason", -1)
        state = state_of(stats.get("state.state", -1), reason)
        mark = known.get(uuid)
        if mark is None or not (mark.nonce or reason == libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN):
            mark = read_mark(domain)  # it was started since, by the IMS of another store
        if state is State.STOPPED and mark is not None and _never_started(mark, reason):
            state = State.DEFINED
        return VM(
            name=domain.name(),
            uuid=uuid,
            state=state,
            mark=mark,
            memory=stats["balloon.maximum"] * KIB if "balloon.maximum" in stats else None,
            vcpus=stats.get("vcpu.maximum"),
        )

    def _with_problems(
        self, found: Iterable[tuple[libvirt.virDomain, VM]], known: Mapping[str, Mark]
    ) -> Iterator[tuple[libvirt.virDomain, VM]]:
        """Look which VMs of ours have lost a file; each storage pool is listed once."""
        files: dict[str, frozenset[str]] = {}
        for domain, vm in found:
            if vm.mark is None:
                yield domain, vm
                continue
            pool = self.pool if vm.uuid in known else self.storage_of(domain)
            if pool.name not in files:
                files[pool.name] = pool.names(refresh=True)
            yield domain, replace(vm, problem=_problem(vm, files[pool.name]))

    def _with_evidence(self, domain: libvirt.virDomain, vm: VM) -> VM:
        receipt = None
        if vm.mark is not None:
            names = VolumeNames(vm.name, vm.mark.operation)
            data = self.storage_of(domain).read(names.receipt, last=RECEIPT_BYTES)
            receipt = parse_receipt(data)
        macs = cards_of(domain.XMLDesc()).networks
        return replace(vm, addresses=addresses_of(domain, macs, receipt), receipt=receipt)


def _problem(vm: VM, files: Collection[str]) -> str:
    """What keeps a VM of ours from starting, or from being trusted, in a few words."""
    if vm.mark is None:
        return ""
    names = VolumeNames(vm.name, vm.mark.operation)
    lost = [each for each in (names.root, names.seed) if each not in files]
    return f"lost: {', '.join(lost)}" if lost else ""


def _never_started(mark: Mark, reason: int) -> bool:
    """Whether a VM that is off is only defined.

    libvirt has no reason for the state of a domain that was never started, but neither for any
    after its daemon was restarted; the nonce in the mark tells those apart. While a create is not
    finished, the nonce is there before the start.
    """
    return reason == libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN and not (mark.nonce and mark.complete)
