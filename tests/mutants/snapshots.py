"""Mistakes in snapshots (sentence 22)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ims_core.errors import ConflictError, HypervisorError, NotFoundError
from ims_core.models import Snapshot, State
from ims_core.spi import Discarded
from tests.mutants.mutant import Group
from tests.mutants.parts import OFF, Base, LateLog, PartLog, conflict, kept

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ims_core.models import Mark, Resource
    from ims_core.spi import UndoLog

mutants = Group()


# --- taking ---


@mutants.add("snapshot-stops-the-vm", 22, "A VM that runs is off after its snapshot.")
class SnapshotStopsTheVm(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        super().take_snapshot(vm, name, undo)
        if self.state_now(vm) is State.RUNNING:
            self.stop(vm, force=True, timeout=1)


@mutants.add("snapshot-leaves-the-vm-paused", 22, "A VM that runs is held after its snapshot.")
class SnapshotLeavesTheVmPaused(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        super().take_snapshot(vm, name, undo)
        if self.state_now(vm) is State.RUNNING:
            self.pause(vm)


@mutants.add("snapshot-resumes-a-paused-vm", 22, "A paused VM runs after its snapshot.")
class SnapshotResumesAPausedVm(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        super().take_snapshot(vm, name, undo)
        if self.state_now(vm) is State.PAUSED:
            self.resume(vm)


@mutants.add("snapshot-resumes-a-suspended-vm", 22, "A suspended VM runs after its snapshot.")
class SnapshotResumesASuspendedVm(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        super().take_snapshot(vm, name, undo)
        if self.state_now(vm) is State.SUSPENDED:
            self.resume(vm)


@mutants.add("snapshot-makes-a-new-vm-stopped", 22, "A VM that never ran is stopped afterwards.")
class SnapshotMakesANewVmStopped(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        super().take_snapshot(vm, name, undo)
        if self.state_now(vm) is State.DEFINED:
            self.put_state(vm, "off")


@mutants.add("snapshot-changes-the-mark", 22, "The VM's mark gets the snapshot's operation.")
class SnapshotChangesTheMark(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        super().take_snapshot(vm, name, undo)
        self.put_mark(vm, replace(self.mark_now(vm), operation=undo.operation))


@mutants.add("snapshot-replaces-a-namesake", 22, "A snapshot of the same name is replaced.")
class SnapshotReplacesANamesake(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        with suppress(NotFoundError):
            self.delete_snapshot(vm, name)
        super().take_snapshot(vm, name, undo)


@mutants.add("taken-snapshot-name-has-no-code", 22, "A taken name is a conflict without its code.")
class TakenSnapshotNameHasNoCode(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        try:
            super().take_snapshot(vm, name, undo)
        except ConflictError as error:
            raise ConflictError(error.message) from error


@mutants.add("snapshot-names-are-of-the-pool", 22, "Two VMs cannot have snapshots of one name.")
class SnapshotNamesAreOfThePool(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        for each in self.all_now():
            if any(other.name == name for other in self.list_snapshots(each.uuid)):
                raise conflict("snapshot-exists", vm)
        super().take_snapshot(vm, name, undo)


@mutants.add("snapshot-is-not-announced", 22, "A snapshot is never announced.")
class SnapshotIsNotAnnounced(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        super().take_snapshot(vm, name, PartLog(undo, deaf=("snapshot",)))


@mutants.add("snapshot-is-announced-too-late", 22, "A snapshot is announced when it is there.")
class SnapshotIsAnnouncedTooLate(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        log = LateLog(undo)
        super().take_snapshot(vm, name, log)
        log.tell()


@mutants.add("snapshot-is-announced-by-name", 22, "A snapshot is announced as VM and name only.")
class SnapshotIsAnnouncedByName(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        undo.announce("snapshot", f"{vm}/{name}")
        super().take_snapshot(vm, name, PartLog(undo, deaf=("snapshot",)))

    def discard(self, resource: Resource) -> Discarded:
        if resource.kind == "snapshot" and resource.name.count("/") == 1:
            name = f"{resource.name}/{resource.operation}"
            return super().discard(replace(resource, name=name))
        return super().discard(resource)


@mutants.add("snapshot-is-announced-as-a-disk", 22, "A snapshot is announced as another kind.")
class SnapshotIsAnnouncedAsADisk(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        undo.announce("checkpoint", f"{vm}/{name}/{undo.operation}")
        super().take_snapshot(vm, name, PartLog(undo, deaf=("snapshot",)))

    def discard(self, resource: Resource) -> Discarded:
        kind = "snapshot" if resource.kind == "checkpoint" else resource.kind
        return super().discard(replace(resource, kind=kind))


@mutants.add("discard-removes-another-snapshot", 22, "Another operation's snapshot is discarded.")
class DiscardRemovesAnotherSnapshot(Base):
    def discard(self, resource: Resource) -> Discarded:
        found = super().discard(resource)
        if resource.kind == "snapshot" and found is Discarded.NOT_OURS:
            uuid, name, _ = resource.name.split("/")
            self.delete_snapshot(uuid, name)
            return Discarded.REMOVED
        return found


@mutants.add("discard-of-a-snapshot-needs-its-vm", 22, "Discarding fails when the VM is gone.")
class DiscardOfASnapshotNeedsItsVm(Base):
    def discard(self, resource: Resource) -> Discarded:
        if resource.kind == "snapshot":
            self.state_now(resource.name.partition("/")[0])
        return super().discard(resource)


# --- listing ---


@mutants.add("half-snapshots-are-listed", 22, "A snapshot that was not finished is listed.")
class HalfSnapshotsAreListed(Base):
    def list_snapshots(self, vm: str) -> Sequence[Snapshot]:
        whole = list(super().list_snapshots(vm))
        known = {f"{vm}.{each.name}-{each.operation}" for each in whole}
        disks = [path.stem for path in (self.root / "snapshots").glob(f"{vm}.*.volume")]
        return whole + [
            Snapshot(stem.removeprefix(f"{vm}.").rpartition("-")[0], 0.0)
            for stem in disks
            if stem not in known
        ]


@mutants.add("snapshot-time-in-milliseconds", 22, "A snapshot's time is in milliseconds.")
class SnapshotTimeInMilliseconds(Base):
    def list_snapshots(self, vm: str) -> Sequence[Snapshot]:
        return [replace(each, taken=each.taken * 1000) for each in super().list_snapshots(vm)]


@mutants.add("snapshot-memory-is-not-told", 22, "Whether a snapshot has memory is not told.")
class SnapshotMemoryIsNotTold(Base):
    def list_snapshots(self, vm: str) -> Sequence[Snapshot]:
        return [replace(each, memory=False) for each in super().list_snapshots(vm)]


@mutants.add("snapshot-operation-is-not-told", 22, "Who took a snapshot is not told.")
class SnapshotOperationIsNotTold(Base):
    def list_snapshots(self, vm: str) -> Sequence[Snapshot]:
        return [replace(each, operation="") for each in super().list_snapshots(vm)]


@mutants.add("all-snapshots-are-current", 22, "Every snapshot is shown as the current one.")
class AllSnapshotsAreCurrent(Base):
    def list_snapshots(self, vm: str) -> Sequence[Snapshot]:
        return [replace(each, current=True) for each in super().list_snapshots(vm)]


# --- going back ---


@mutants.add("restore-stops-a-running-vm", 22, "A VM that runs is put back all the same.")
class RestoreStopsARunningVm(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        if self.state_now(vm) is State.RUNNING:
            self.stop(vm, force=True, timeout=1)
        super().restore_snapshot(vm, name)


@mutants.add("restore-stops-a-paused-vm", 22, "A paused VM is put back all the same.")
class RestoreStopsAPausedVm(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        if self.state_now(vm) is State.PAUSED:
            self.stop(vm, force=True, timeout=1)
        super().restore_snapshot(vm, name)


@mutants.add("restore-refuses-a-suspended-vm", 22, "A suspended VM cannot be put back.")
class RestoreRefusesASuspendedVm(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        if self.state_now(vm) is State.SUSPENDED:
            raise conflict("vm-suspended", vm)
        super().restore_snapshot(vm, name)


@mutants.add("restore-lets-the-vm-run", 22, "A snapshot with memory leaves the VM running.")
class RestoreLetsTheVmRun(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        super().restore_snapshot(vm, name)
        if self.state_now(vm) is State.SUSPENDED:
            self.resume(vm)


@mutants.add("restore-loses-the-memory", 22, "A snapshot with memory leaves the VM stopped.")
class RestoreLosesTheMemory(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        super().restore_snapshot(vm, name)
        self.stop(vm, force=True, timeout=1)


@mutants.add("restore-keeps-saved-memory", 22, "Memory saved before stays, on another disk.")
class RestoreKeepsSavedMemory(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        suspended = self.state_now(vm) is State.SUSPENDED
        with kept(self.root, [self.root / "memory" / vm]):
            super().restore_snapshot(vm, name)
        if suspended:
            self.put_state(vm, "suspended")


@mutants.add("restore-leaves-memory-behind", 22, "Memory given up still takes room.")
class RestoreLeavesMemoryBehind(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        with kept(self.root, [self.root / "memory" / vm]):
            super().restore_snapshot(vm, name)


@mutants.add("restore-makes-a-new-vm-stopped", 22, "A VM that had not been started is stopped.")
class RestoreMakesANewVmStopped(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        super().restore_snapshot(vm, name)
        if self.state_now(vm) is State.DEFINED:
            self.put_state(vm, "off")


@mutants.add("restore-makes-every-vm-new", 22, "A VM put back looks as if never started.")
class RestoreMakesEveryVmNew(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        super().restore_snapshot(vm, name)
        if self.state_now(vm) is State.STOPPED:
            self.put_state(vm, "defined")


@mutants.add("restore-keeps-the-new-digest", 22, "The mark names a delivery of later.")
class RestoreKeepsTheNewDigest(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        mark = self.mark_now(vm)
        super().restore_snapshot(vm, name)
        self.put_mark(vm, mark)


@mutants.add("restore-puts-the-whole-mark-back", 22, "The mark is all that of the snapshot.")
class RestorePutsTheWholeMarkBack(Base):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._marks: dict[tuple[str, str], Mark] = {}

    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        super().take_snapshot(vm, name, undo)
        self._marks[vm, name] = self.mark_now(vm)

    def restore_snapshot(self, vm: str, name: str) -> None:
        super().restore_snapshot(vm, name)
        self.put_mark(vm, self._marks.get((vm, name), self.mark_now(vm)))


@mutants.add("restore-keeps-the-new-delivery", 22, "The delivery stays that of now.")
class RestoreKeepsTheNewDelivery(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        with kept(self.root, [self.seed_path(vm)]):
            super().restore_snapshot(vm, name)


@mutants.add("restore-keeps-the-new-disk", 22, "The disk stays as it is now.")
class RestoreKeepsTheNewDisk(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        with kept(self.root, [self.disk_path(vm)]):
            super().restore_snapshot(vm, name)


@mutants.add("restore-uses-the-snapshot-up", 22, "A snapshot is gone once it was restored.")
class RestoreUsesTheSnapshotUp(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        super().restore_snapshot(vm, name)
        self.delete_snapshot(vm, name)


@mutants.add("restore-drops-later-snapshots", 22, "Snapshots taken later are removed.")
class RestoreDropsLaterSnapshots(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        super().restore_snapshot(vm, name)
        found = self.list_snapshots(vm)
        taken = next(each.taken for each in found if each.name == name)
        for each in found:
            if each.taken > taken:
                self.delete_snapshot(vm, each.name)


@mutants.add("restore-takes-the-newest", 22, "Whatever the name, the newest one is restored.")
class RestoreTakesTheNewest(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        found = self.list_snapshots(vm)
        if any(each.name == name for each in found):
            name = max(found, key=lambda each: each.taken).name
        super().restore_snapshot(vm, name)


@mutants.add("failed-restore-loses-the-snapshot", 22, "A restore that fails cannot be repeated.")
class FailedRestoreLosesTheSnapshot(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        try:
            super().restore_snapshot(vm, name)
        except HypervisorError:
            self.delete_snapshot(vm, name)
            raise


@mutants.add("restore-of-nothing-has-no-code", 22, "A snapshot not there has no code of its own.")
class RestoreOfNothingHasNoCode(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        try:
            super().restore_snapshot(vm, name)
        except NotFoundError as error:
            if error.code != "snapshot-not-found":
                raise
            raise NotFoundError(error.message) from error


@mutants.add("restore-of-nothing-stops-the-vm", 22, "A restore in vain gives up saved memory.")
class RestoreOfNothingStopsTheVm(Base):
    def restore_snapshot(self, vm: str, name: str) -> None:
        if self.state_now(vm) is State.SUSPENDED:
            self.stop(vm, force=True, timeout=1)
        super().restore_snapshot(vm, name)


# --- deleting ---


@mutants.add("delete-of-no-snapshot-succeeds", 22, "Deleting a snapshot not there is no error.")
class DeleteOfNoSnapshotSucceeds(Base):
    def delete_snapshot(self, vm: str, name: str) -> None:
        try:
            super().delete_snapshot(vm, name)
        except NotFoundError as error:
            if error.code != "snapshot-not-found":
                raise


@mutants.add("delete-of-a-snapshot-goes-back", 22, "The VM is put back before a deletion.")
class DeleteOfASnapshotGoesBack(Base):
    def delete_snapshot(self, vm: str, name: str) -> None:
        if self.state_now(vm) in OFF:
            self.restore_snapshot(vm, name)
        super().delete_snapshot(vm, name)


@mutants.add("delete-of-a-snapshot-takes-later-ones", 22, "What was taken later goes as well.")
class DeleteOfASnapshotTakesLaterOnes(Base):
    def delete_snapshot(self, vm: str, name: str) -> None:
        found = self.list_snapshots(vm)
        super().delete_snapshot(vm, name)
        taken = next(each.taken for each in found if each.name == name)
        for each in found:
            if each.taken > taken:
                super().delete_snapshot(vm, each.name)


@mutants.add("delete-of-a-snapshot-stops-the-vm", 22, "The VM is stopped for a deletion.")
class DeleteOfASnapshotStopsTheVm(Base):
    def delete_snapshot(self, vm: str, name: str) -> None:
        super().delete_snapshot(vm, name)
        self.stop(vm, force=True, timeout=1)


@mutants.add("delete-of-a-snapshot-leaves-its-disk", 22, "A deleted snapshot's disk stays.")
class DeleteOfASnapshotLeavesItsDisk(Base):
    def delete_snapshot(self, vm: str, name: str) -> None:
        with kept(self.root, (self.root / "snapshots").glob(f"{vm}.{name}-*.volume")):
            super().delete_snapshot(vm, name)


@mutants.add("failed-delete-hides-the-snapshot", 22, "After a failed deletion it is not found.")
class FailedDeleteHidesTheSnapshot(Base):
    def delete_snapshot(self, vm: str, name: str) -> None:
        try:
            super().delete_snapshot(vm, name)
        except HypervisorError:
            for path in (self.root / "snapshots").glob(f"{vm}.{name}-*.json"):
                path.unlink()
            raise
