"""Snapshots: keeping what a VM is, putting it back to that, and giving one up."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import ImsError, NotFoundError, UnavailableError
from ims_core.models import State
from ims_core.names import check_name
from ims_core.service.events import Event, Phase
from ims_core.service.lifecycle import OFF, changing, refuse_unfinished
from ims_core.service.operations import Kind
from ims_core.service.patience import patiently
from ims_core.spi import Snapshots, require
from ims_core.store import Outcome

if TYPE_CHECKING:
    from ims_core.models import VM, Snapshot
    from ims_core.service.operations import Running
    from ims_core.service.session import Session
    from ims_core.service.waiting import Deadline
    from ims_core.store import Operation

__all__ = [
    "delete",
    "go_on_deleting",
    "go_on_restoring",
    "listed",
    "restore",
    "take",
    "taken_by",
]


def take(session: Session, name: str, snapshot: str, deadline: Deadline) -> Snapshot:
    """Keep what a VM is now, or leave nothing of that."""
    provider = require(session.provider, Snapshots)
    snapshot = check_name("snapshot", snapshot or _made_up())
    with changing(session, Kind.SNAPSHOT, name, deadline.left, undo=_failed) as (
        running,
        vm,
        mark,
    ):
        refuse_unfinished(session, vm, mark)
        running.session.tell(Event(Phase.SNAPSHOT, f"taking snapshot {snapshot} of {vm.name}"))
        deadline.check("nothing was made yet")
        provider.take_snapshot(vm.uuid, snapshot, running.journal)
        taken = _find(session, vm, snapshot)
    session.report(Event(Phase.DONE, f"snapshot {snapshot} of {vm.name} is taken"))
    return taken


def listed(session: Session, name: str) -> list[Snapshot]:
    """The snapshots of a VM, oldest first."""
    provider = require(session.provider, Snapshots)
    vm, _ = session.find_ours(name)
    return sorted(provider.list_snapshots(vm.uuid), key=lambda each: (each.taken, each.name))


def restore(session: Session, name: str, snapshot: str, deadline: Deadline) -> VM:
    """Put a VM back to what it was; what it is meant to be told stays, and is pending then."""
    provider = require(session.provider, Snapshots)
    with changing(session, Kind.RESTORE, name, deadline.left) as (running, vm, mark):
        refuse_unfinished(session, vm, mark)
        running.aim(_goal(_find(session, vm, snapshot)))
        running.session.tell(Event(Phase.RESTORE, f"putting {vm.name} back to {snapshot}"))
        patiently(lambda: provider.restore_snapshot(vm.uuid, snapshot), deadline)
        restored = _remembered(session, vm)
    session.report(Event(Phase.DONE, f"{restored.name} is as it was at {snapshot}"))
    return replace(restored, pool=session.pool.name)


def delete(session: Session, name: str, snapshot: str, deadline: Deadline) -> None:
    """Remove a snapshot; the VM stays as it is."""
    provider = require(session.provider, Snapshots)
    with changing(session, Kind.DELETE_SNAPSHOT, name, deadline.left) as (running, vm, mark):
        refuse_unfinished(session, vm, mark)
        running.aim(_goal(_find(session, vm, snapshot)))
        running.session.tell(Event(Phase.DELETE, f"deleting snapshot {snapshot} of {vm.name}"))
        patiently(lambda: provider.delete_snapshot(vm.uuid, snapshot), deadline)
    session.report(Event(Phase.DONE, f"snapshot {snapshot} of {vm.name} is deleted"))


# --- what recovery asks for ---


def taken_by(session: Session, record: Operation, vm: VM) -> bool:
    """Whether an operation has taken its snapshot to the end."""
    found = require(session.provider, Snapshots).list_snapshots(vm.uuid)
    return any(each.operation == record.id for each in found)


def _aimed_at(session: Session, record: Operation, vm: VM) -> Snapshot | None:
    """The snapshot that an operation is about, if it is there and not a namesake of it."""
    found = require(session.provider, Snapshots).list_snapshots(vm.uuid)
    return next((each for each in found if _goal(each) == record.goal), None)


def go_on_restoring(session: Session, record: Operation, vm: VM) -> bool:
    """Put a VM back that may be half put back; whether it is as it was then.

    The goal of the record is the snapshot; it has none before the restoring has begun. One that
    was started since, by other means, is left alone.
    """
    if vm.state not in (*OFF, State.SUSPENDED):
        return False
    snapshot = _aimed_at(session, record, vm)
    if snapshot is None:
        return False
    require(session.provider, Snapshots).restore_snapshot(vm.uuid, snapshot.name)
    _remembered(session, vm)
    return True


def go_on_deleting(session: Session, record: Operation, vm: VM) -> bool:
    """Remove a snapshot that may be half removed; whether it is gone."""
    snapshot = _aimed_at(session, record, vm)
    if snapshot is not None:
        require(session.provider, Snapshots).delete_snapshot(vm.uuid, snapshot.name)
    return bool(record.goal)


def _made_up() -> str:
    return time.strftime("snap-%Y%m%d-%H%M%S", time.gmtime())


def _goal(snapshot: Snapshot) -> str:
    """A snapshot as a record names it: another one may have its name by the time it is read."""
    return f"{snapshot.name}/{snapshot.operation}"


def _find(session: Session, vm: VM, snapshot: str) -> Snapshot:
    for each in require(session.provider, Snapshots).list_snapshots(vm.uuid):
        if each.name == snapshot:
            return each
    raise NotFoundError(
        f"VM {vm.name!r} has no snapshot {snapshot!r}",
        code="snapshot-not-found",
        vm=vm.name,
        pool=session.pool.name,
        hint=f"`ims list-snapshots {vm.name}` shows those there are",
    )


def _remembered(session: Session, vm: VM) -> VM:
    """A VM as it is after it was put back; its mark says what its guest was told by then."""
    found, mark = session.find_ours(vm.uuid)
    session.store.save_mark(mark)
    return found


def _failed(running: Running, error: BaseException) -> Outcome:
    """Leave nothing of a snapshot that is not to be; what must be left is named in the error."""
    session, journal = running.session, running.journal
    # What was given up while the hypervisor hung may still come: recovery looks again.
    hanging = isinstance(error, UnavailableError) and bool(journal.announced)
    left = session.roll_back(journal)
    if isinstance(error, ImsError):
        error.details += tuple(f"left behind: {each}" for each in left.all)
    return Outcome.UNFINISHED if left.ours or hanging else Outcome.FAILED
