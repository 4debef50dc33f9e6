"""VMs as the dom0 shows them, in one round trip however many there are."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ims_core.errors import ImsError, NotFoundError
from ims_core.models import VM, State
from ims_dom0.addresses import addresses_of, neighbours_in
from ims_dom0.marks import cards_of, mark_of
from ims_dom0.vmcfg import macs_of, parse, parse_disk
from ims_dom0.xenstore import stored_in
from ims_shell.archive import unpack
from ims_xen.domains import domains_of, state_of
from ims_xen.names import CARDS, CONFIG, KEYS, MARK, MEMORY, RECEIPT, STARTED, STARTING, Folder

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ims_core.models import Address, Interface, Mark, Receipt
    from ims_dom0.dom0 import Dom0
    from ims_dom0.vmcfg import Value
    from ims_dom0.xenstore import Stored
    from ims_xen.domains import Domain

__all__ = ["Found", "find", "inspect"]

_MIB = 1 << 20


def inspect(dom0: Dom0, vms: Collection[str] | None, *, evidence: bool) -> list[VM]:
    """The VMs that are there, those that IMS did not make included."""
    told = dom0.ask("look", "yes" if evidence else "no", *(vms or ()), subject="VMs")
    texts = {name: content.decode(errors="replace") for name, content in told.items()}
    folders = _folders(dom0.directory, texts.get("files", ""), unpack(told.get("archive", b"")))
    stored = stored_in(texts.get("xenstore", ""))
    neighbours = neighbours_in(texts.get("neighbours", ""))
    watched = _watched(dom0.directory, texts.get("monitors", ""))
    running = {(each.uuid, each.name): each for each in domains_of(texts["domains"])}
    found = [
        _ours(
            replace(folder, watched=folder.name in watched),
            running.pop((folder.uuid, folder.name), None),
            stored,
            neighbours,
            evidence=evidence,
        )
        for folder in folders
    ]
    found += [_foreign(domain) for domain in running.values()]
    return [vm for vm in found if vms is None or vm.name in vms or vm.uuid in vms]


@dataclass(frozen=True, slots=True)
class Found:
    """A VM of which IMS keeps a folder, with what only that tells."""

    name: str
    mark: Mark
    cards: tuple[Interface, ...]


def find(dom0: Dom0, uuid: str) -> Found:
    """The VM of that UUID.

    Raises:
        NotFoundError: ``vm-not-found``.
    """
    told = dom0.ask("look", "no", uuid, subject=f"VM {uuid}")
    contents = unpack(told.get("archive", b""))
    for path, content in contents.items():
        name = path.partition("/")[0]
        if path == f"{name}/{MARK}" and (mark := mark_of(content, name)) and mark.vm == uuid:
            return Found(name, mark, cards_of(contents.get(f"{name}/{CARDS}", b"")))
    raise NotFoundError(f"there is no VM {uuid!r}", code="vm-not-found", vm=uuid)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder of VMs' directory as it is now."""

    name: str
    uuid: str
    mark: Mark | None
    config: Mapping[str, Value]
    problem: str
    files: frozenset[str]
    receipt: str
    watched: bool = False
    """Whether an xl is at work that makes its domain, or will when its guest reboots."""

    @property
    def macs(self) -> list[str]:
        """Of its cards, in order."""
        return macs_of(self.config)


def _watched(directory: str, arguments: str) -> set[str]:
    """The VMs whose vm.cfg or saved memory is among the arguments of a process."""
    file = rf"\0{re.escape(directory)}/vms/([^/\0]+)/(?:{re.escape(CONFIG)}|{MEMORY})\0"
    return set(re.findall(file, arguments))


def _folders(directory: str, listing: str, contents: Mapping[str, bytes]) -> list[_Folder]:
    files: dict[str, set[str]] = {}
    for line in listing.splitlines():
        name, _, file = line.partition("/")
        files.setdefault(name, set()).add(file)
    # One of which neither file came has gone since it was listed.
    there = [name for name in files if {f"{name}/{MARK}", f"{name}/{CONFIG}"} & contents.keys()]
    found = [_folder(directory, name, files[name], contents) for name in sorted(there)]
    # A folder that somebody copied still has the original's UUID in its vm.cfg.
    marked = {folder.uuid for folder in found if folder.mark}
    return [
        folder if folder.mark or folder.uuid not in marked else replace(folder, uuid="")
        for folder in found
    ]


def _folder(
    directory: str, name: str, files: Collection[str], contents: Mapping[str, bytes]
) -> _Folder:
    mark = mark_of(contents.get(f"{name}/{MARK}", b""), name)
    problem, config = "", {}
    try:
        config = parse(contents.get(f"{name}/{CONFIG}", b"").decode())
        made = mark is not None and bool(mark.operation)
        lost = _lost(Folder(directory, name), config, files, ours=made)
        problem = f"lost: {', '.join(lost)}" if lost else ""
    except (ImsError, UnicodeDecodeError) as error:
        problem = f"its {CONFIG} cannot be read: {error}"
    return _Folder(
        name=name,
        uuid=mark.vm if mark else str(config.get("uuid", "")),
        mark=mark,
        config=config,
        problem=problem or ("" if mark else f"its {MARK} cannot be read"),
        files=frozenset(files),
        receipt=contents.get(f"{name}/{RECEIPT}", b"").decode(errors="replace"),
    )


def _lost(
    folder: Folder, config: Mapping[str, Value], files: Collection[str], *, ours: bool
) -> list[str]:
    """The files that the VM needs and that are not there any more; not those of an adopted VM."""
    if not config:
        return [CONFIG]
    disks = config.get("disk", ())
    targets = [parse_disk(str(each)).target for each in disks] if isinstance(disks, tuple) else []
    own = [
        path.rpartition("/")[2] for path in targets if path == folder.path(path.rpartition("/")[2])
    ]
    if ours and len(targets) == 1:  # what it is told is on no disk
        own.append(KEYS)
    return [file for file in own if file not in files]


def _ours(
    folder: _Folder,
    domain: Domain | None,
    stored: Stored,
    neighbours: Collection[Address],
    *,
    evidence: bool,
) -> VM:
    memory, vcpus = folder.config.get("memory"), folder.config.get("vcpus")
    receipt = _receipt(folder, domain, stored) if evidence else None
    return VM(
        name=folder.name,
        uuid=folder.uuid,
        state=_state(folder, domain),
        mark=folder.mark,
        memory=memory * _MIB if isinstance(memory, int) else None,
        vcpus=vcpus if isinstance(vcpus, int) else None,
        problem=folder.problem,
        addresses=addresses_of(folder.macs, domain.domid, stored, neighbours, receipt)
        if evidence and domain is not None
        else (),
        receipt=receipt,
    )


def _foreign(domain: Domain) -> VM:
    return VM(
        name=domain.name,
        uuid=domain.uuid,
        state=state_of(domain.letters),
        memory=domain.memory,
        vcpus=domain.vcpus,
    )


def _state(folder: _Folder, domain: Domain | None) -> State:
    if domain is not None and not (MEMORY in folder.files and "d" in domain.letters):
        state = state_of(domain.letters)
        never_ran = state is State.PAUSED and domain.seconds == 0
        unfinished = never_ran and STARTING in folder.files
        return State.STARTING if unfinished else state
    if MEMORY in folder.files:
        return State.SUSPENDED
    if folder.watched:
        return State.STARTING  # xl makes its domain, or makes it anew after a reboot
    return State.STOPPED if STARTED in folder.files else State.DEFINED


def _receipt(folder: _Folder, domain: Domain | None, stored: Stored) -> Receipt | None:
    """What the guest answers now; what it answered last where there is nothing."""
    now = stored.receipt(domain.domid) if domain is not None else None
    return now or stored_in(folder.receipt).receipt()
