"""The xen provider: the SPI's methods, each one or two round trips to the dom0."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ims_core.console import last_lines
from ims_core.errors import (
    ConflictError,
    HypervisorError,
    InvalidError,
    NotFoundError,
    UnsupportedError,
)
from ims_core.models import Carrier, CarrierLimits, Features, Host
from ims_core.names import check_name
from ims_core.spi import NOTHING_KNOWN, Discarded, Provider, require_carrier
from ims_dom0.dom0 import CALL_SECONDS, MAKING_SECONDS, Dom0
from ims_dom0.marks import cards_json, cards_of, mark_json
from ims_dom0.networks import Bridges
from ims_shell.archive import pack, unpack
from ims_shell.facts import room_in
from ims_shell.names import making
from ims_shell.opening import open_shell
from ims_shell.templates import Templates
from ims_xen import checks, looking, metrics
from ims_xen.config import BOOT_METHODS, vm_config
from ims_xen.definition import config_of
from ims_xen.domains import domains_of
from ims_xen.names import CARDS, CONFIG, KEYS, MARK, MEDIUM
from ims_xen.scripts import script
from ims_xen.xenstore import LIMITS, keys_file, rackspace_keys

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
    from ims_shell.shell import Shell

__all__ = ["XenProvider"]

MIB = 1 << 20
CONSOLE_BYTES = 64 << 10
_STOP_MARGIN = 30.0
_MEDIUM_LIMITS = CarrierLimits(max_bytes=64 * MIB)


class XenProvider(Provider):
    """Virtual machines of a Xen dom0."""

    name: ClassVar[str] = "xen"
    spi: ClassVar[str] = "1.0"
    features: ClassVar[Features] = Features(
        carriers={
            Carrier.XENSTORE: LIMITS,
            Carrier.ISO: _MEDIUM_LIMITS,
            Carrier.FAT_DISK: _MEDIUM_LIMITS,
            Carrier.EXT2_DISK: _MEDIUM_LIMITS,
        },
        template_formats=("raw", "qcow2"),
        address_sources=("receipt", "xenstore", "arp"),
        receipts=True,
        boot_methods=BOOT_METHODS,
    )

    def __init__(self, shell: Shell, settings: Mapping[str, Any]) -> None:
        """Use a shell in the dom0; :meth:`open` makes one."""
        self._settings = settings
        self._dom0 = Dom0(shell, settings["directory"].rstrip("/"), script)
        self._templates = Templates(self._dom0)
        self._identity = ""

    # --- connection ---

    @classmethod
    def settings(cls) -> type[BaseModel]:
        """See :mod:`ims_xen.settings`."""
        from ims_xen.settings import Settings  # noqa: PLC0415 - pydantic costs 50 ms

        return Settings

    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        """Connect to the dom0."""
        return cls(open_shell(settings), settings)

    @property
    def shell(self) -> Shell:
        """The shell in the dom0."""
        return self._dom0.shell

    @property
    def endpoint(self) -> str:
        """Where the dom0 is."""
        return self.shell.endpoint

    @property
    def identity(self) -> str:
        """The dom0's machine id, and the directory."""
        if not self._identity:
            machine = self._dom0.call("identity", subject="dom0").decode().strip()
            self._identity = f"{machine}{self._dom0.directory}"
        return self._identity

    def close(self) -> None:
        """Close the connection."""
        self.shell.close()

    def check(self) -> Iterator[Finding]:
        """See :mod:`ims_xen.checks`."""
        return checks.check(self._dom0, self._settings["bridge"])

    def hosts(self) -> Sequence[Host]:
        """The one machine."""
        facts = checks.facts_of(self._dom0.call("host", subject="host").decode(errors="replace"))
        try:
            total, free = (int(facts[word]) * MIB for word in ("total_memory", "free_memory"))
            return [Host(facts["host"], int(facts["nr_cpus"]), total, free)]
        except (KeyError, ValueError) as error:
            raise HypervisorError(f"`xl info` says nothing of {error}") from None

    # --- making ---

    def prepare(self, spec: VMSpec) -> VMSpec:
        """Complete the cards, and refuse what is taken or cannot be."""
        _check_order(spec)
        survey = self._dom0.ask("survey", subject=f"VM {spec.name}")
        told = {name: content.decode(errors="replace") for name, content in survey.items()}
        taken = {domain.name for domain in domains_of(told["domains"])}
        if spec.name in taken | set(told["names"].splitlines()):
            raise ConflictError(
                f"there is a VM {spec.name!r} already",
                code="vm-exists",
                vm=spec.name,
                hint="choose another name, or `ims list-vms --all` to see whose it is",
            )
        facts = checks.facts_of(told["host"])
        if spec.host and spec.host != facts.get("host"):
            raise NotFoundError(
                f"there is no host {spec.host!r}",
                code="host-not-found",
                hint=f"use {facts.get('host')}",
            )
        if spec.template.boot in ("pvh", "hvm") and "hvm" not in facts.get("virt_caps", ""):
            raise UnsupportedError(
                f"template {spec.template.name!r} boots by {spec.template.boot}, which the CPU of"
                " this dom0 cannot do",
                code="boot-impossible",
                hint="turn VT-x or AMD-V on in the firmware, or use a template for PV",
            )
        return replace(spec, interfaces=self._completed(survey, spec.interfaces))

    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:  # noqa: ARG002
        """The vm.cfg."""
        return vm_config(spec, delivery.carrier, self._dom0.directory)

    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        """Fill a folder with everything, and give it the VM's name as the last step."""
        require_carrier(self, delivery)
        folder, template = making(spec.name, undo.operation), spec.template
        files = {
            CONFIG: vm_config(spec, delivery.carrier, self._dom0.directory).encode(),
            CARDS: cards_json(spec.interfaces),
            **self._context_files(delivery, spec.name, spec.interfaces),
            MARK: mark_json(spec.name, mark),
        }
        undo.announce("folder", folder)
        undo.announce("vm", spec.uuid)
        order = (spec.name, folder, template.name, template.format, str(spec.disk))
        self._dom0.call(
            "create",
            *order,
            stdin=pack(files),
            timeout=MAKING_SECONDS,
            subject=f"VM {spec.name}",
        )

    def write_mark(self, vm: str, mark: Mark) -> None:
        """Replace the file that holds it; the domain of somebody else gets a folder for it."""
        try:
            name = looking.find(self._dom0, vm).name
        except NotFoundError:
            if mark.operation:
                raise
            self._adopt(vm, mark)
        else:
            files = {MARK: mark_json(name, mark)}
            self._dom0.call("put", vm, stdin=pack(files), subject=f"VM {name}")

    def discard(self, resource: Resource) -> Discarded:
        """Remove a folder or a VM, if that operation made it."""
        operation = resource.operation
        if not operation or (resource.kind != "vm" and not resource.carries_operation):
            return Discarded.NOT_OURS
        subject = f"{resource.kind} {resource.name}"
        words = (resource.kind, resource.name, operation)
        found = self._dom0.call("discard", *words, subject=subject, timeout=MAKING_SECONDS)
        return Discarded(found.decode().strip())

    # --- running ---

    def start(self, vm: str, delivery: Delivery | None) -> None:
        """Make the domain, paused; write its keys; let it run."""
        found = looking.find(self._dom0, vm)
        files: dict[str, bytes] = {}
        if delivery is not None and found.mark.nonce != delivery.nonce:
            files = self._delivered(found, delivery)
        self._dom0.call(
            "start", vm, stdin=pack(files), subject=f"VM {found.name}", timeout=MAKING_SECONDS
        )

    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        """Ask the guest's kernel and watch, or destroy the domain."""
        how = "force" if force else f"{max(timeout, 0.001):.3f}"  # timeout(1) takes 0 for "never"
        limit = CALL_SECONDS if force else timeout + _STOP_MARGIN
        self._dom0.call("stop", vm, how, subject=f"VM {vm}", timeout=limit)

    def suspend(self, vm: str) -> None:
        """Save the domain's memory beside its disk; it is gone then."""
        self._dom0.call("suspend", vm, subject=f"VM {vm}", timeout=MAKING_SECONDS)

    def resume(self, vm: str) -> None:
        """Restore it, paused; write its keys again, for it is a new domain; let it run."""
        self._dom0.call("resume", vm, subject=f"VM {vm}", timeout=MAKING_SECONDS)

    def update_context(self, vm: str, delivery: Delivery) -> None:
        """Replace the keys of a running domain, in one step."""
        found = looking.find(self._dom0, vm)
        if delivery.carrier is not Carrier.XENSTORE:
            raise UnsupportedError(
                f"a {delivery.carrier} cannot be changed while the VM runs",
                code="carrier-impossible",
                hint="the new context takes effect at the next start",
            )
        files = self._delivered(found, delivery)
        self._dom0.call("update", vm, stdin=pack(files), subject=f"VM {found.name}")

    def delete(self, vm: str) -> None:
        """Destroy the domain, and remove the folder, its mark last."""
        self._dom0.call("delete", vm, subject=f"VM {vm}", timeout=MAKING_SECONDS)

    def set_addresses(self, vm: str, interfaces: Sequence[Interface]) -> Sequence[Interface]:
        """Check and complete them; no DHCP of ours is to be told."""
        found = looking.find(self._dom0, vm)
        survey = self._dom0.ask("survey", subject=f"VM {found.name}")
        completed = self._completed(survey, interfaces, but=found.name)
        files = {CARDS: cards_json(completed)}
        self._dom0.call("put", vm, stdin=pack(files), subject=f"VM {found.name}")
        return completed

    # --- looking ---

    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,  # noqa: ARG002 - marks come with the rest
    ) -> Sequence[VM]:
        """See :mod:`ims_xen.looking`."""
        return looking.inspect(self._dom0, vms, evidence=evidence)

    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        """See :mod:`ims_xen.metrics`."""
        found = metrics.read(self._dom0)
        return [each for each in found if vms is None or each.name in vms or each.uuid in vms]

    def open_console(self, vm: str) -> ConsoleStream:
        """What ``xl console`` shows, on a terminal in the dom0."""
        return self._dom0.attach("attach", vm, subject=f"VM {vm}")

    def console_tail(self, vm: str, lines: int) -> tuple[str, ...]:
        """The end of what xenconsoled kept."""
        raw = self._dom0.call("console", vm, str(CONSOLE_BYTES), subject=f"VM {vm}")
        return last_lines(raw, lines)

    # --- templates ---

    def list_templates(self) -> Sequence[Template]:
        """See :mod:`ims_shell.templates`."""
        return self._templates.all()

    def find_template(self, name: str) -> Template | None:
        """The template of that name."""
        return next((each for each in self._templates.all() if each.name == name), None)

    def template_room(self) -> int | None:
        """What is free where the directory lies."""
        return room_in(self._dom0.call("room", subject="templates").decode())

    def import_template(
        self, files: Mapping[str, Path], template: Template, undo: UndoLog, progress: Progress
    ) -> None:
        """Upload the files, then publish them."""
        self._templates.add(files, template, undo, progress)

    def delete_template(self, name: str) -> None:
        """Remove it unless a VM was made from it."""
        self._templates.remove(name)

    # --- parts ---

    def _adopt(self, vm: str, mark: Mark) -> None:
        found = next((each for each in self.inspect([vm]) if each.uuid == vm), None)
        if found is None:
            raise NotFoundError(f"there is no VM {vm!r}", code="vm-not-found", vm=vm)
        check_name("VM", found.name)
        subject = f"VM {found.name}"
        files = {
            CONFIG: config_of(self._dom0.call("definition", vm, subject=subject)).encode(),
            MARK: mark_json(found.name, mark),
        }
        folder = making(found.name, vm)
        self._dom0.call("adopt", found.name, folder, stdin=pack(files), subject=subject)

    def _completed(
        self, survey: Mapping[str, bytes], cards: Sequence[Interface], *, but: str = ""
    ) -> tuple[Interface, ...]:
        """The cards, completed, if nobody has their addresses but a VM of that name."""
        folders = [
            (path.partition("/")[0], cards_of(content))
            for path, content in unpack(survey["archive"]).items()
        ]
        others = [(name, each) for name, each in folders if name != but]
        return Bridges.surveyed(survey).completed(cards, self._settings["bridge"], others)

    def _delivered(self, found: looking.Found, delivery: Delivery) -> dict[str, bytes]:
        """The files of a delivery to a VM that exists, its mark last."""
        told = replace(found.mark, digest=delivery.digest, nonce=delivery.nonce)
        return {
            **self._context_files(delivery, found.name, found.cards),
            MARK: mark_json(found.name, told),
        }

    def _context_files(
        self, delivery: Delivery, name: str, cards: Sequence[Interface]
    ) -> dict[str, bytes]:
        further = rackspace_keys(name, cards) if self._settings["rackspace_keys"] else {}
        if delivery.carrier is Carrier.XENSTORE:
            return {KEYS: keys_file(delivery, further)}
        files = {MEDIUM: delivery.medium}
        return {**files, KEYS: keys_file(None, further)} if further else files


def _check_order(spec: VMSpec) -> None:
    if spec.disk < spec.template.virtual_size:
        raise InvalidError(
            f"disk of {spec.disk} bytes is smaller than template {spec.template.name!r}"
            f" ({spec.template.virtual_size})",
            hint="leave --disk out, or ask for at least the template's size",
        )
    if spec.template.boot == "pvh" and not spec.template.kernel:
        raise InvalidError(
            f"template {spec.template.name!r} boots by pvh, and has no kernel",
            hint="import it again with --kernel, or with --boot hvm",
        )
