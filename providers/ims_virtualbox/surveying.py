"""What VirtualBox has: all machines by one list and one reading of their settings files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ims_core.errors import BusyError, ConflictError, HypervisorError, NotFoundError
from ims_core.models import Mark
from ims_shell.archive import unpack
from ims_virtualbox.host import patiently
from ims_virtualbox.names import ADDRESSES, MARK, Folder
from ims_virtualbox.vboxmanage.document import Document, read_document, read_registry
from ims_virtualbox.vboxmanage.listing import machine_state, processes_in, running_states
from ims_virtualbox.vboxmanage.states import OFF, SAVED, STATES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ims_virtualbox.host import VirtualBoxHost

__all__ = ["Found", "Survey", "find", "forgotten", "mark_text", "survey", "taken_name"]


@dataclass(frozen=True, slots=True)
class Found:
    """A machine in VirtualBox.

    Attributes:
        uuid: Its UUID.
        path: Of its settings file.
        document: Its settings; None if they cannot be read.
        state: The word of ``--machinereadable``; empty if VirtualBox does not tell.
        ran: Whether it was ever started, as it is now.
        mark: Ours; None if it is not ours.
        folder: Ours around its settings; None if it is not in the pool's directory.
        missing: Which file it lacks, in words.
    """

    uuid: str
    path: str
    document: Document | None
    state: str
    ran: bool
    mark: Mark | None
    folder: Folder | None
    missing: str = ""

    @property
    def name(self) -> str:
        """Its name; its UUID where the settings cannot be read."""
        return self.document.name if self.document is not None else self.uuid

    @property
    def promised(self) -> list[str]:
        """Its static addresses, as ``network=address``."""
        return (self.document.extra if self.document else {}).get(ADDRESSES, "").split()

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
                f"VM {self.uuid}: VirtualBox cannot read its settings, {self.path}",
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
    """Look at everything, by one call of VBoxManage however many machines there are.

    What a process runs is listed by VBoxManage. Where the one or the other is missing (a machine is
    just being started, say), that machine is asked for by itself; for those that have neither their
    settings tell.
    """
    told = patiently(lambda: host.ask("registry", subject="VMs"))
    registry, home = told["registry"], told["home"].decode(errors="replace").strip()
    paths = read_registry(registry, home) if registry.strip() else {}
    if paths is None:
        raise HypervisorError(
            f"{home}/VirtualBox.xml cannot be read",
            hint="it is VirtualBox's list of its machines: `VBoxManage list vms` looks at it",
        )
    files = _files(host, paths)
    listed = running_states(told["running"].decode(errors="replace"))
    held = processes_in(told["processes"].decode(errors="replace"))
    # A machine without a process may stand in the list as part of another's description.
    states = {uuid: listed.get(uuid, "") if uuid in held else "" for uuid in {*listed, *held}}
    found = (_found(host, uuid, path, files, states) for uuid, path in paths.items())
    machines = [each for each in found if each is not None]
    return Survey(machines, frozenset(_ports(files.listening)))


@dataclass(frozen=True, slots=True)
class _Files:
    """What the files of the host say: settings by path, and who has run, by the same."""

    documents: Mapping[str, Document | None]
    ran: frozenset[str]
    there: frozenset[str]
    listening: str


def _files(host: VirtualBoxHost, paths: Mapping[str, str]) -> _Files:
    plain = [path for path in paths.values() if "\n" not in path]
    told = host.ask("documents", stdin=_lines(plain), subject="VMs")
    texts = {name: told[name].decode(errors="replace") for name in ("ran", "there", "listening")}
    archive = unpack(told["documents"])
    # VirtualBox renames a file away before the new one takes its place.
    if missing := [path for path in plain if path not in archive]:
        again = host.ask("documents", stdin=_lines(missing), subject="VMs")
        archive |= unpack(again["documents"])
    return _Files(
        {path: read_document(content) for path, content in archive.items()},
        frozenset(texts["ran"].splitlines()),
        frozenset(texts["there"].splitlines()),
        texts["listening"],
    )


def _lines(paths: Sequence[str]) -> bytes:
    return "".join(f"{path}\n" for path in paths).encode()


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


def forgotten(host: VirtualBoxHost, vm: str) -> list[Folder]:
    """The folders of a machine that VirtualBox does not know any more.

    The settings of another machine may name its UUID in any place, a description say; and a folder
    in which VirtualBox has a machine is that one's.
    """
    left = unpack(host.call("forgotten", vm, subject=f"VM {vm}"))
    kept = {each.folder for each in survey(host).machines}
    documents = {path: read_document(content) for path, content in left.items()}
    folders = {
        Folder.around(host.directory, f"{host.directory}/vms/{path}")
        for path, document in documents.items()
        if document is not None and document.uuid == vm
    }
    return [each for each in folders if each is not None and each not in kept]


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
    host: VirtualBoxHost, uuid: str, path: str, files: _Files, states: Mapping[str, str]
) -> Found | None:
    """A machine of the registry; None if it was removed since that was read."""
    document = files.documents.get(path)
    if document is not None and document.uuid != uuid:
        document = None  # somebody put another machine's file there
    state = states.get(uuid, document.resting if document is not None else "")
    if uuid in states and state not in STATES:
        words = ("showvminfo", uuid, "--machinereadable")
        try:
            state = machine_state(host.manage(*words, subject=f"VM {uuid}"))
        except NotFoundError:
            return None
        except (BusyError, HypervisorError):
            state = ""  # the others are there still
    folder = Folder.around(host.directory, path)
    return Found(
        uuid,
        path,
        document,
        state,
        path in files.ran,
        _mark(document, uuid),
        folder,
        _missing(document, path, folder, files.there),
    )


def _missing(
    document: Document | None, settings: str, folder: Folder | None, there: Collection[str]
) -> str:
    """What a machine of ours lacks of its files; empty if nothing.

    Its disk is not always root.vdi: VirtualBox merges it into what came after it when a snapshot
    is deleted.
    """
    if document is None or folder is None:
        return ""
    home = settings.rpartition("/")[0]
    disks = [path if path.startswith("/") else f"{home}/{path}" for path in document.disks.values()]
    if document.root not in document.disks:
        disks.append(folder.root)
    for path in disks:
        if path.startswith(folder.path("")) and path.endswith(".vdi") and path not in there:
            return f"its disk {path.removeprefix(folder.path(''))} is missing"
    if folder.seed_in(document.drive) and document.drive not in there:
        return "its context medium is missing"
    gone = [
        path
        for path in disks
        if path.startswith(f"{folder.directory}/templates/") and path not in there
    ]
    return f"the disk that its own depends on is missing: {gone[0]}" if gone else ""


def _mark(document: Document | None, uuid: str) -> Mark | None:
    """Our mark; one that names another VM was copied with its settings, and does not count."""
    try:
        mark = Mark.from_dict(json.loads((document.extra if document else {})[MARK]))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return mark if mark.vm == uuid else None


def _ports(table: str) -> set[int]:
    """The ports that somebody listens on, out of Linux's ``/proc/net/tcp`` and ``tcp6``."""
    found = set()
    for line in table.splitlines():
        words = line.split()
        if len(words) > 3 and words[3] == "0A":  # noqa: PLR2004 - the column "st": listening
            found.add(int(words[1].rpartition(":")[2], 16))
    return found
