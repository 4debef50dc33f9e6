"""The ovm provider: the SPI's methods; the Manager does what it can, and the dom0 the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ims_core.console import last_lines
from ims_core.errors import (
    BusyError,
    ConflictError,
    HypervisorError,
    InvalidError,
    NotFoundError,
    UnsupportedError,
)
from ims_core.models import Carrier, CarrierLimits, Features, Host
from ims_core.spi import NOTHING_KNOWN, Discarded, Provider, require_carrier
from ims_dom0.dom0 import MAKING_SECONDS, Dom0
from ims_dom0.networks import Bridges
from ims_ovm import checks, looking, metrics
from ims_ovm.bootparams import MAX_IMAGE
from ims_ovm.making import Maker
from ims_ovm.scripts import script
from ims_ovm.templates import FORMAT, Templates
from ims_ovm.wire.statuses import Status
from ims_shell.archive import unpack
from ims_shell.facts import room_in
from ims_shell.opening import open_shell

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic import BaseModel

    from ims_core.models import (
        VM,
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
    from ims_ovm.manager import Image, Manager
    from ims_shell.shell import Shell

__all__ = ["OvmProvider"]

CONSOLE_BYTES = 64 << 10
START_SECONDS = 300.0
_LIMITS = CarrierLimits(max_bytes=MAX_IMAGE)


class OvmProvider(Provider):
    """Virtual machines of one server pool of an Oracle VM Manager 2.2."""

    name: ClassVar[str] = "ovm"
    spi: ClassVar[str] = "1.0"
    features: ClassVar[Features] = Features(
        carriers={Carrier.TEMPLATE_DISK: _LIMITS},
        template_formats=(FORMAT,),
        address_sources=("receipt", "xenstore", "arp"),
        receipts=True,
        chooses_host=True,
    )

    def __init__(self, manager: Manager, shell: Shell, settings: Mapping[str, Any]) -> None:
        """Use a Manager and a shell in the dom0; :meth:`open` makes them."""
        self._settings = settings
        self._manager = manager
        self._dom0 = Dom0(shell, settings["directory"].rstrip("/"), script)
        self._maker = Maker(manager, self._dom0, settings)
        self._templates = Templates(
            manager,
            self._dom0,
            remote=settings["import_by"] == "manager",
            rebuilds=settings["bootparams"] == "replace",
        )
        self._identity = ""

    # --- connection ---

    @classmethod
    def settings(cls) -> type[BaseModel]:
        """See :mod:`ims_ovm.settings`."""
        from ims_ovm.settings import Settings  # noqa: PLC0415 - pydantic costs 50 ms

        return Settings

    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        """Connect to the dom0; the Manager is asked when it is needed."""
        from ims_ovm.opening import open_manager  # noqa: PLC0415 - zeep costs 150 ms

        return cls(open_manager(settings), open_shell(settings), settings)

    @property
    def endpoint(self) -> str:
        """Where the Manager and the dom0 are."""
        return f"{self._manager.client.endpoint} and {self._dom0.shell.endpoint}"

    @property
    def identity(self) -> str:
        """The repository's own id, the same from every server of the pool."""
        if not self._identity:
            repository = self._dom0.call("identity", subject="repository").decode().strip()
            self._identity = f"{repository}{self._dom0.directory}"
        return self._identity

    def close(self) -> None:
        """Close both connections."""
        self._manager.client.close()
        self._dom0.shell.close()

    def check(self) -> Iterator[Finding]:
        """See :mod:`ims_ovm.checks`."""
        return checks.check(self._manager, self._dom0, self._settings)

    def hosts(self) -> Sequence[Host]:
        """Nothing can be made on a certain one; the Manager chooses."""
        return [
            Host(each.name, each.cpus, each.memory, each.memory_free)
            for each in self._manager.servers()
        ]

    # --- making ---

    def prepare(self, spec: VMSpec) -> VMSpec:
        """Complete the cards, and refuse what is taken or cannot be."""
        _check_order(spec)
        self._maker.refuse_namesake(spec.name)
        return replace(spec, interfaces=self._completed(spec.interfaces))

    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:  # noqa: ARG002
        """What the Manager is asked, as its operation and the fields of it."""
        return self._manager.plan(spec)

    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        """See :mod:`ims_ovm.making`."""
        require_carrier(self, delivery)
        self._maker.create(spec, delivery, mark, undo)

    def write_mark(self, vm: str, mark: Mark) -> None:
        """Replace the file that holds it; a VM of somebody else gets one."""
        try:
            record = self._find(vm).record
        except NotFoundError:
            if mark.operation:
                raise
            self._maker.adopt(vm, mark)
        else:
            self._maker.put(replace(record, mark=mark))

    def discard(self, resource: Resource) -> Discarded:
        """Remove an order, a VM or what was brought of a template, if that operation made it."""
        kind, name, operation = resource.kind, resource.name, resource.operation
        if not operation or (kind != "vm" and not resource.carries_operation):
            return Discarded.NOT_OURS
        if kind == "order":
            return self._maker.discard_order(name)
        if kind == "vm":
            return self._maker.discard_vm(name, operation)
        return self._templates.discard(kind, name, operation)

    # --- running ---

    def start(self, vm: str, delivery: Delivery | None) -> None:
        """Put the delivery onto the VM's disk, and have the Manager power it on."""
        found = self._find(vm)
        image = found.there
        _refuse(image, (Status.RUNNING, Status.PAUSED, Status.MIGRATING), "vm-running")
        _refuse(image, (Status.SUSPENDED,), "vm-suspended")
        record = replace(found.record, started=True)
        if delivery is not None and record.mark.nonce != delivery.nonce:
            mark = replace(record.mark, digest=delivery.digest, nonce=delivery.nonce)
            self._maker.deliver(replace(record, mark=mark), image, delivery)
        else:
            self._maker.put(record)
        self._change("power_on", found, Status.RUNNING, START_SECONDS)

    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        """Have the Manager ask the guest, or take its power away."""
        found = self._find(vm)
        if found.there.status is Status.POWEREDOFF:
            return
        if not force:
            _refuse(found.there, (Status.SUSPENDED,), "vm-suspended")
        self._maker.keep_receipt(found.record)
        verb, seconds = ("power_off", START_SECONDS) if force else ("shut_down", timeout)
        try:
            self._change(verb, found, Status.POWEREDOFF, seconds)
        except (BusyError, HypervisorError):  # somebody else may be ending it
            if self._manager.at_rest(found.there, seconds).status is not Status.POWEREDOFF:
                raise

    def suspend(self, vm: str) -> None:
        """Have the Manager save its memory."""
        found = self._find(vm)
        status = found.there.status
        if status is Status.SUSPENDED:
            return
        _refuse(found.there, (Status.POWEREDOFF, Status.ERROR), "vm-not-running")
        if status is Status.PAUSED:
            # A guest whose CPUs are held cannot get ready for it.
            self._change("unpause", found, Status.RUNNING, START_SECONDS)
        self._maker.keep_receipt(found.record)
        self._change("suspend", found, Status.SUSPENDED, MAKING_SECONDS)

    def resume(self, vm: str) -> None:
        """Have the Manager let it go on; its disk with the delivery is where it was."""
        found = self._find(vm)
        status = found.there.status
        if status is Status.RUNNING:
            return
        _refuse(found.there, (Status.POWEREDOFF, Status.ERROR), "vm-not-suspended")
        verb = "unpause" if status is Status.PAUSED else "resume"
        self._change(verb, found, Status.RUNNING, MAKING_SECONDS)

    def delete(self, vm: str) -> None:
        """Have the Manager delete it, and remove what that left."""
        try:
            found = self._find(vm)
        except NotFoundError:
            return
        self._maker.delete(found)

    def set_addresses(self, vm: str, interfaces: Sequence[Interface]) -> Sequence[Interface]:
        """Check and complete them; no DHCP of ours is to be told."""
        record = self._find(vm).record
        completed = self._completed(interfaces, but=vm)
        self._maker.put(replace(record, cards=completed))
        return completed

    # --- looking ---

    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,  # noqa: ARG002 - marks come with the rest
    ) -> Sequence[VM]:
        """See :mod:`ims_ovm.looking`."""
        return looking.inspect(self._manager, self._dom0, vms, evidence=evidence)

    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        """See :mod:`ims_ovm.metrics`."""
        found = metrics.read(self._manager, self._dom0)
        return [each for each in found if vms is None or each.name in vms or each.uuid in vms]

    def open_console(self, vm: str) -> ConsoleStream:
        """What Xen's own console program shows, on a terminal in the dom0."""
        found = self._find(vm)
        _refuse(found.there, (Status.POWEREDOFF, Status.SUSPENDED, Status.ERROR), "vm-not-running")
        return self._dom0.attach("attach", vm, found.record.image, subject=f"VM {found.name}")

    def console_tail(self, vm: str, lines: int) -> tuple[str, ...]:
        """The end of what xenconsoled kept."""
        raw = self._dom0.call("console", vm, str(CONSOLE_BYTES), subject=f"VM {vm}")
        return last_lines(raw, lines)

    # --- templates ---

    def list_templates(self) -> Sequence[Template]:
        """Those that IMS imported."""
        return self._templates.all()

    def find_template(self, name: str) -> Template | None:
        """The template of that name."""
        return next((each for each in self._templates.all() if each.name == name), None)

    def template_room(self) -> int | None:
        """What is free where the repository lies."""
        return room_in(self._dom0.call("room", subject="templates").decode())

    def import_template(
        self, files: Mapping[str, Path], template: Template, undo: UndoLog, progress: Progress
    ) -> None:
        """Bring the archive, and have the Manager import and approve it."""
        self._templates.add(files["image"], template, undo, progress)

    def delete_template(self, name: str) -> None:
        """Remove it unless a VM was made from it."""
        self._templates.remove(name)

    # --- parts ---

    def _find(self, vm: str) -> looking.Found:
        return looking.find(self._manager, self._dom0, vm)

    def _change(self, verb: str, found: looking.Found, wanted: Status, seconds: float) -> None:
        subject = f"VM {found.name}"
        self._manager.change(verb, found.there, wanted, seconds, subject=subject)

    def _completed(self, cards: Sequence[Interface], *, but: str = "") -> tuple[Interface, ...]:
        """The cards, completed, if nobody has their addresses but that VM."""
        survey = self._dom0.ask("survey", subject="networks")
        others = [
            (record.vm_name, record.cards)
            for record in looking.records_in(unpack(survey.get("archive", b"")))
            if record.mark.vm != but
        ]
        return Bridges.surveyed(survey).completed(cards, self._settings["bridge"], others)


def _check_order(spec: VMSpec) -> None:
    if spec.disk != spec.template.virtual_size:
        raise InvalidError(
            f"disk of {spec.disk} bytes is not what template {spec.template.name!r} has"
            f" ({spec.template.virtual_size}); the Manager copies disks as they are",
            hint="leave --disk out",
        )
    if spec.host:
        raise UnsupportedError(
            f"host {spec.host!r} cannot be ordered: the Manager itself chooses the server",
            hint="leave --host out",
        )


_WORDS = {
    "vm-running": "it is running already",
    "vm-suspended": "it is suspended to disk",
    "vm-not-running": "it is not running",
    "vm-not-suspended": "it is not suspended",
}
_HINTS = {
    "vm-running": "`ims stop-vm` first",
    "vm-suspended": "`ims resume-vm` wakes it; stop it by --force to give that up",
    "vm-not-running": "`ims start-vm` starts it",
}


def _refuse(image: Image, statuses: Collection[Status], code: str) -> None:
    """Refuse what cannot be done in these states, nor while the Manager is at work on the VM."""
    if image.status in statuses:
        raise ConflictError(
            f"VM {image.name}: {_WORDS[code]}", code=code, hint=_HINTS.get(code, "")
        )
    if image.status.passing:
        raise BusyError(
            f"VM {image.name}: the Manager is at work on it ({image.status})", hint="try again"
        )
