"""VMs: what the Manager says of them, by one request, and what the dom0 knows, by another."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ims_core.errors import HypervisorError, NotFoundError
from ims_core.models import VM, State
from ims_dom0.addresses import addresses_of, neighbours_in
from ims_dom0.xenstore import stored_in
from ims_ovm.record import read_record
from ims_ovm.wire.statuses import Status
from ims_shell.archive import unpack

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ims_core.models import Address, Receipt
    from ims_dom0.dom0 import Dom0
    from ims_dom0.xenstore import Stored
    from ims_ovm.manager import Image, Manager
    from ims_ovm.record import Record

__all__ = ["Domain", "Found", "domains_in", "find", "inspect", "records", "records_in"]

_DOMAIN = re.compile(r'/local/domain/([1-9][0-9]*)/(vm|name) = "(?:/vm/)?([^"\\]*)"')
_RECORD = re.compile(r"(?P<folder>[^/]+)/ims/vm\.json")
_DELETING = re.compile(r"\.\./ims/deleting/(?P<folder>[^/]+)\.json")


@dataclass(frozen=True, slots=True)
class Found:
    """A VM with our mark.

    Attributes:
        image: As the Manager has it; None once it has it no longer.
    """

    record: Record
    image: Image | None

    @property
    def there(self) -> Image:
        """The VM, which must be in the Manager.

        Raises:
            HypervisorError: ``vm-lost``.
        """
        if self.image is None:
            raise HypervisorError(
                f"VM {self.record.vm_name}: the Manager does not know it",
                code="vm-lost",
                hint="import it there again, or `ims delete-vm` removes what is left of it",
            )
        return self.image

    @property
    def name(self) -> str:
        """The VM's, now."""
        return self.image.name if self.image else self.record.vm_name


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the dom0 showed."""

    records: Sequence[Record]
    files: Mapping[str, Collection[str]]
    domains: Mapping[str, Domain]
    stored: Stored
    receipts: Mapping[str, Receipt | None] = field(default_factory=dict)
    neighbours: Collection[Address] = ()


def inspect(
    manager: Manager, dom0: Dom0, vms: Collection[str] | None, *, evidence: bool
) -> list[VM]:
    """The VMs that are there, those that IMS did not make included."""
    images = manager.images()
    seen = _look(dom0, evidence=evidence)
    known = {each.uuid: each for each in images}
    ours = {each.image for each in seen.records}
    found = [
        _ours(record, known.get(record.image), seen, evidence=evidence) for record in seen.records
    ]
    # Not by UUID: several that are being made may have none yet.
    found += [_foreign(image) for image in images if image.uuid not in ours]
    return [vm for vm in found if vms is None or vm.name in vms or vm.uuid in vms]


def find(manager: Manager, dom0: Dom0, uuid: str) -> Found:
    """The VM of that UUID of ours.

    Raises:
        NotFoundError: ``vm-not-found``.
    """
    record = next((each for each in records(dom0) if each.mark.vm == uuid), None)
    if record is None:
        raise NotFoundError(f"there is no VM {uuid!r}", code="vm-not-found", vm=uuid)
    image = next((each for each in manager.images() if each.uuid == record.image), None)
    return Found(record, image)


def records(dom0: Dom0) -> Sequence[Record]:
    """All of ours."""
    return _look(dom0, evidence=False).records


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain that runs in this dom0, by its UUID, which is the Manager's."""

    domid: int
    name: str


def domains_in(text: str) -> dict[str, Domain]:
    """Domains by UUID, out of ``xenstore-ls -f /local/domain``; dom0 itself is left out."""
    told: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if match := _DOMAIN.fullmatch(line):
            told.setdefault(match[1], {})[match[2]] = match[3]
    return {
        keys["vm"].lower(): Domain(int(domid), keys.get("name", ""))
        for domid, keys in told.items()
        if "vm" in keys
    }


def _look(dom0: Dom0, *, evidence: bool) -> _Seen:
    told = dom0.ask("look", "yes" if evidence else "no", subject="VMs")
    contents = unpack(told.get("archive", b""))
    texts = {name: content.decode(errors="replace") for name, content in told.items()}
    files: dict[str, set[str]] = {}
    for line in texts.get("files", "").splitlines():
        folder, _, file = line.partition("/")
        files.setdefault(folder, set()).add(file)
    receipts = {
        path.partition("/")[0]: stored_in(content.decode(errors="replace")).receipt()
        for path, content in contents.items()
        if path.endswith("/ims/receipt")
    }
    return _Seen(
        records=records_in(contents),
        files=files,
        domains=domains_in(texts.get("xenstore", "")),
        stored=stored_in(texts.get("xenstore", "")),
        receipts=receipts,
        neighbours=neighbours_in(texts.get("neighbours", "")),
    )


def records_in(contents: Mapping[str, bytes]) -> list[Record]:
    """Each VM's once; of one that is being deleted there may be no folder any more."""
    found: dict[str, Record] = {}
    for form in (_DELETING, _RECORD):
        for path, content in contents.items():
            match = form.fullmatch(path)
            if match and (record := read_record(content, match["folder"])):
                found[record.mark.vm] = record
    return list(found.values())


def _ours(record: Record, image: Image | None, seen: _Seen, *, evidence: bool) -> VM:
    domain = seen.domains.get(record.image)
    domid = domain.domid if domain else None
    receipt = None
    if evidence:
        now = seen.stored.receipt(domid) if domid is not None else None
        receipt = now or seen.receipts.get(record.name)
    addresses: tuple[Address, ...] = ()
    if evidence and domid is not None:
        macs = [card.mac for card in record.cards]
        addresses = addresses_of(macs, domid, seen.stored, seen.neighbours, receipt)
    return VM(
        name=image.name if image else record.vm_name,
        uuid=record.mark.vm,
        state=_state(record, image),
        mark=record.mark,
        memory=image.memory if image else None,
        vcpus=image.vcpus if image else None,
        problem=_problem(record, image, seen.files.get(record.name, ())),
        addresses=addresses,
        receipt=receipt,
    )


def _foreign(image: Image) -> VM:
    return VM(
        name=image.name,
        uuid=image.uuid,
        state=image.status.state,
        memory=image.memory,
        vcpus=image.vcpus,
        problem=_told(image.status),
    )


def _state(record: Record, image: Image | None) -> State:
    if image is None:
        return State.UNKNOWN
    if image.status is Status.POWEREDOFF and not record.started:
        return State.DEFINED
    return image.status.state


def _problem(record: Record, image: Image | None, files: Collection[str]) -> str:
    if image is None:
        return "the Manager does not know it"
    lost = [disk for disk in record.disks if disk not in files]
    return f"lost: {', '.join(lost)}" if lost else _told(image.status)


def _told(status: Status) -> str:
    return "the Manager says that an action on it failed" if status is Status.ERROR else ""
