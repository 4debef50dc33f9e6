"""Snapshots: VirtualBox's own, and in the description of each what ours must know."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, NotFoundError
from ims_core.models import Snapshot
from ims_core.spi import Discarded
from ims_virtualbox.delivering import write_mark
from ims_virtualbox.host import MAKING_SECONDS
from ims_virtualbox.running import power_off, refuse_running
from ims_virtualbox.surveying import find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.spi import UndoLog
    from ims_virtualbox.host import VirtualBoxHost
    from ims_virtualbox.surveying import Found
    from ims_virtualbox.vboxmanage.document import Taken

__all__ = ["discard", "listed", "remove", "restore", "take"]


@dataclass(frozen=True, slots=True)
class _Note:
    """What stands in a snapshot's description: who took it, and what the guest knew then."""

    operation: str = ""
    digest: str = ""
    nonce: str = ""
    ran: bool = True

    @classmethod
    def of(cls, taken: Taken) -> _Note:
        """That of a snapshot; an empty one where somebody else took it."""
        try:
            told = json.loads(taken.description)["ims"]
            note = cls(**told)
        except (ValueError, TypeError, KeyError, RecursionError):
            return cls()
        texts = (note.operation, note.digest, note.nonce)
        plain = all(type(each) is str for each in texts) and type(note.ran) is bool
        return note if plain else cls()

    def text(self) -> str:
        """As the description; ASCII, on one line."""
        return json.dumps({"ims": asdict(self)})


def take(host: VirtualBoxHost, vm: str, name: str, undo: UndoLog) -> None:
    """See the SPI."""
    machine, _ = find(host, vm)
    if any(each.name == name for each in machine.settings.snapshots):
        raise ConflictError(
            f"VM {machine.name!r} has a snapshot {name!r} already",
            code="snapshot-exists",
            vm=machine.name,
            hint="choose another name, or delete that one",
        )
    mark = machine.mark
    note = _Note(
        undo.operation,
        mark.digest if mark is not None else "",
        mark.nonce if mark is not None else "",
        ran=machine.ran,
    )
    undo.announce("snapshot", f"{vm}/{name}/{undo.operation}")
    words = ("snapshot", vm, "take", name, "--description", note.text())
    host.manage(*words, subject=f"VM {machine.name}", timeout=MAKING_SECONDS)


def listed(host: VirtualBoxHost, vm: str) -> Sequence[Snapshot]:
    """See the SPI."""
    machine, _ = find(host, vm)
    current = machine.settings.current
    return [
        Snapshot(
            name=each.name,
            taken=each.taken,
            operation=_Note.of(each).operation,
            memory=each.memory,
            current=each.uuid == current,
        )
        for each in machine.settings.snapshots
    ]


def restore(host: VirtualBoxHost, vm: str, name: str) -> None:
    """See the SPI; the mark comes last, so that this can be done again."""
    machine, _ = find(host, vm)
    taken = _one(machine, name)
    refuse_running(machine)
    power_off(host, machine)  # of a saved machine: its memory is given up
    words = ("snapshot", vm, "restore", taken.uuid)
    host.manage(*words, subject=f"VM {machine.name}", timeout=MAKING_SECONDS)
    note = _Note.of(taken)
    if not note.ran and machine.folder is not None:
        host.call("never_ran", machine.folder.name, subject=f"VM {machine.name}")
    if note.operation and machine.mark is not None:
        write_mark(host, machine, replace(machine.mark, digest=note.digest, nonce=note.nonce))


def remove(host: VirtualBoxHost, vm: str, name: str) -> None:
    """See the SPI."""
    machine, _ = find(host, vm)
    _remove(host, machine, _one(machine, name))


def discard(host: VirtualBoxHost, name: str, operation: str) -> Discarded:
    """Remove a snapshot if that operation took it."""
    vm, _, snapshot = name.removesuffix(f"/{operation}").partition("/")
    try:
        machine, _ = find(host, vm)
        taken = _one(machine, snapshot)
    except NotFoundError:
        return Discarded.ABSENT
    if _Note.of(taken).operation != operation:
        return Discarded.NOT_OURS
    _remove(host, machine, taken)
    return Discarded.REMOVED


def _remove(host: VirtualBoxHost, machine: Found, taken: Taken) -> None:
    words = ("snapshot", machine.uuid, "delete", taken.uuid)
    host.manage(*words, subject=f"VM {machine.name}", timeout=MAKING_SECONDS)


def _one(machine: Found, name: str) -> Taken:
    for each in machine.settings.snapshots:
        if each.name == name:
            return each
    raise NotFoundError(
        f"VM {machine.name!r} has no snapshot {name!r}",
        code="snapshot-not-found",
        vm=machine.name,
        hint=f"`ims list-snapshots {machine.name}` shows those there are",
    )
