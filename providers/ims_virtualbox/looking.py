"""What is in VirtualBox now: all machines by one list and one reading of their settings files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ims_bootparams.receipt import RECEIPT_BYTES, parse_receipt, receipt_of_values
from ims_core.errors import ConflictError, HypervisorError, NotFoundError
from ims_core.models import VM, Mark, State
from ims_shell.archive import unpack
from ims_virtualbox.addresses import addresses_of, leases_in
from ims_virtualbox.names import FORWARD, MARK, RECEIPT, Folder
from ims_virtualbox.vboxmanage.document import Document, Forward, read_document
from ims_virtualbox.vboxmanage.listing import (
    Listed,
    listed_machines,
    machine_state,
    properties_of,
)
from ims_virtualbox.vboxmanage.states import OFF, SAVED, STATES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ims_core.models import Receipt
    from ims_virtualbox.host import VirtualBoxHost

__all__ = ["Found", "Survey", "find", "inspect", "mark_text", "survey", "taken_name"]

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A machine in VirtualBox.

    Attributes:
        listed: As the list has it.
        document: Its settings; None if they cannot be read.
        state: The word of ``--machinereadable``; empty if VirtualBox does not tell.
        ran: Whether it was ever started, as it is now.
        mark: Ours; None if it is not ours.
        folder: Ours around its settings; None if it is not in the pool's directory.
    """

    listed: Listed
    document: Document | None
    state: str
    ran: bool
    mark: Mark | None
    folder: Folder | None

    @property
    def uuid(self) -> str:
        """Its UUID."""
        return self.listed.uuid

    @property
    def name(self) -> str:
        """Its name; its UUID where the settings cannot be read."""
        return self.document.name if self.document is not None else self.uuid

    @property
    def is_off(self) -> bool:
        """Whether it could be started."""
        return self.state in OFF

    @property
    def is_saved(self) -> bool:
        """Whether it could be resumed."""
        return self.state in SAVED

    @property
    def settings(self) -> Document:
        """Its settings.

        Raises:
            HypervisorError: ``vm-inaccessible``.
        """
        if self.document is None:
            raise HypervisorError(
                f"VM {self.uuid}: VirtualBox cannot read its settings, {self.listed.path}",
                code="vm-inaccessible",
                vm=self.uuid,
                hint=f"bring that file back, or `VBoxManage unregistervm {self.uuid}`",
            )
        return self.document

    @property
    def own_folder(self) -> Folder:
        """The folder that IMS made for it.

        Raises:
            ConflictError: ``vm-adopted``: it made none.
        """
        if self.folder is None:
            raise ConflictError(
                f"VM {self.name!r} was not made by IMS, so it has no place for a context",
                code="vm-adopted",
                vm=self.name,
            )
        return self.folder


@dataclass(frozen=True, slots=True)
class Survey:
    """All machines, and the ports that somebody listens on."""

    machines: list[Found]
    listening: frozenset[int] = field(default_factory=frozenset)

    def ports_of_others(self, uuid: str) -> frozenset[int]:
        """Ports of the host that a machine's rules must leave alone."""
        others = (each.document for each in self.machines if each.uuid != uuid and each.document)
        rules = (rule for each in others for card in each.adapters for rule in card.forwards)
        return self.listening | {rule.host_port for rule in rules}


def survey(host: VirtualBoxHost) -> Survey:
    """Look at everything: a call of VBoxManage and a script, however many machines there are."""
    listed = listed_machines(host.manage("list", "vms", "--long", subject="VMs"))
    paths = "".join(f"{each.path}\n" for each in listed if each.accessible)
    told = host.ask("documents", stdin=paths.encode(), subject="VMs")
    documents = {
        path: read_document(content) for path, content in unpack(told["documents"]).items()
    }
    ran = set(told["ran"].decode(errors="replace").splitlines())
    machines = [
        found
        for each in listed
        if (found := _found(host, each, documents.get(each.path), ran=each.path in ran))
    ]
    return Survey(machines, frozenset(_ports(told["listening"].decode(errors="replace"))))


def find(host: VirtualBoxHost, vm: str) -> tuple[Found, Survey]:
    """A machine by its UUID, among all.

    Raises:
        NotFoundError: ``vm-not-found``.
    """
    seen = survey(host)
    for each in seen.machines:
        if each.uuid == vm:
            return each, seen
    raise NotFoundError(f"there is no VM {vm!r}", code="vm-not-found", vm=vm)


def inspect(host: VirtualBoxHost, vms: Collection[str] | None, *, evidence: bool) -> Sequence[VM]:
    """See the SPI."""
    machines = [
        each
        for each in survey(host).machines
        if vms is None or each.uuid in vms or each.name in vms
    ]
    told = _evidence(host, machines) if evidence and machines else {}
    return [_vm(each, told, evidence=evidence) for each in machines]


def taken_name(name: str, vm: str, seen: Survey) -> ConflictError | None:
    """The error if another machine has that name, which VirtualBox itself allows."""
    if not any(each.name == name and each.uuid != vm for each in seen.machines):
        return None
    return ConflictError(
        f"there is a VM {name!r} already",
        code="vm-exists",
        vm=name,
        hint="choose another name, or `ims list-vms --all` to see whose it is",
    )


def mark_text(mark: Mark) -> str:
    """A mark as the machine's extra data holds it; ASCII, on one line."""
    return json.dumps(asdict(mark), separators=(",", ":"))


def _found(
    host: VirtualBoxHost, listed: Listed, document: Document | None, *, ran: bool
) -> Found | None:
    if document is not None and document.uuid != listed.uuid:
        return None  # a line of somebody's description, not of the list
    state = listed.state
    if listed.accessible and state not in STATES:
        answer = host.manage("showvminfo", listed.uuid, "--machinereadable", subject=listed.uuid)
        state = machine_state(answer)
    return Found(
        listed,
        document,
        state,
        ran,
        _mark(document, listed.uuid),
        Folder.around(host.directory, listed.path),
    )


def _mark(document: Document | None, uuid: str) -> Mark | None:
    """Our mark; one that names another VM was copied with its settings, and does not count."""
    try:
        mark = Mark.from_dict(json.loads((document.extra if document else {})[MARK]))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return mark if mark.vm == uuid else None


def _state(machine: Found) -> State:
    known = STATES.get(machine.state)
    if known is None:
        return State.UNKNOWN
    never_ran = known.state is State.STOPPED and not machine.ran
    return State.DEFINED if never_ran else known.state


def _vm(machine: Found, told: Mapping[str, bytes], *, evidence: bool) -> VM:
    document = machine.document
    receipt = _receipt(machine, told) if evidence else None
    return VM(
        name=machine.name,
        uuid=machine.uuid,
        state=_state(machine),
        mark=machine.mark,
        memory=document.memory * _MIB if document is not None else None,
        vcpus=document.cpus if document is not None else None,
        problem=_problem(machine),
        addresses=addresses_of(
            document.adapters if document is not None else (),
            receipt,
            _properties(machine, told) if machine.state == "running" else {},
            leases_in(told.get("leases", b"")),
        )
        if evidence and not (machine.is_off or machine.is_saved)
        else (),
        receipt=receipt,
        forwards=tuple(_forward(rule) for rule in _ssh_rules(document)),
    )


def _problem(machine: Found) -> str:
    if not machine.listed.accessible or machine.document is None:
        return "VirtualBox cannot read its settings"
    if machine.state == "gurumeditation":
        return "VirtualBox gave up on its guest (guru meditation)"
    return ""


def _ssh_rules(document: Document | None) -> list[Forward]:
    cards = document.adapters if document is not None else ()
    return [rule for card in cards for rule in card.forwards if rule.name == FORWARD]


def _forward(rule: Forward) -> str:
    return f"tcp {rule.host_ip or '*'}:{rule.host_port} to port {rule.guest_port}"


def _evidence(host: VirtualBoxHost, machines: Sequence[Found]) -> dict[str, bytes]:
    wanted = [
        word
        for each in machines
        for word in (each.uuid, each.folder.name if each.folder else "", each.state)
    ]
    return host.ask("evidence", *wanted, subject="VMs")


def _properties(machine: Found, told: Mapping[str, bytes]) -> Mapping[str, str]:
    """Those of now while it runs, else those that were kept."""
    now = told.get(f"properties {machine.uuid}")
    if now is not None:
        return properties_of(now.decode(errors="replace"))
    return machine.document.properties if machine.document is not None else {}


def _receipt(machine: Found, told: Mapping[str, bytes]) -> Receipt | None:
    """The guest's last answer: the one to the last start, if it came by either way."""
    sent = told.get(f"receipt {machine.uuid}", b"")[-RECEIPT_BYTES:]
    values = {
        key.removeprefix(RECEIPT): value
        for key, value in _properties(machine, told).items()
        if key.startswith(RECEIPT)
    }
    found = [each for each in (parse_receipt(sent), receipt_of_values(values)) if each]
    nonce = machine.mark.nonce if machine.mark is not None else ""
    return next((each for each in found if each.nonce == nonce), found[0] if found else None)


def _ports(table: str) -> set[int]:
    """The ports that somebody listens on, out of Linux's ``/proc/net/tcp`` and ``tcp6``."""
    found = set()
    for line in table.splitlines():
        words = line.split()
        if len(words) > 3 and words[3] == "0A":  # noqa: PLR2004 - the column "st": listening
            found.add(int(words[1].rpartition(":")[2], 16))
    return found
