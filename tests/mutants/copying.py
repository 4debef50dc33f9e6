# ruff: noqa: ARG002 - a hook has arguments that not every mutant needs
"""Mistakes in making a VM from another one's disk (sentence 23)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, HypervisorError
from ims_core.models import State
from tests.mutants.mutant import Group
from tests.mutants.parts import OFF, Base, LateLog, PartLog

if TYPE_CHECKING:
    from ims_core.models import Delivery, Mark, VMSpec
    from ims_core.spi import UndoLog

mutants = Group()


class Clones(Base):
    """One that does something before and after a clone."""

    def before(self, source: str, undo: UndoLog) -> None:
        """Before the clone."""

    def after(self, source: str, spec: VMSpec) -> None:
        """After it."""

    def clone(
        self, source: str, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog
    ) -> None:
        self.before(source, undo)
        super().clone(source, spec, delivery, mark, undo)
        self.after(source, spec)


@mutants.add("clone-depends-on-its-source", 23, "A clone's disk is a link to the source's.")
class CloneDependsOnItsSource(Clones):
    def after(self, source: str, spec: VMSpec) -> None:
        disk = self.disk_path(spec.uuid)
        disk.unlink()
        disk.symlink_to(self.disk_path(source))


@mutants.add("clone-shares-its-disk", 23, "A clone and its source write to the same disk.")
class CloneSharesItsDisk(Clones):
    def after(self, source: str, spec: VMSpec) -> None:
        disk = self.disk_path(spec.uuid)
        disk.unlink()
        disk.hardlink_to(self.disk_path(source))


@mutants.add("source-depends-on-its-clone", 23, "The source's disk goes over to the clone.")
class SourceDependsOnItsClone(Clones):
    def after(self, source: str, spec: VMSpec) -> None:
        disk = self.disk_path(source)
        disk.unlink()
        disk.symlink_to(self.disk_path(spec.uuid))


@mutants.add("clone-has-the-templates-disk", 23, "A clone's disk is empty, not the source's.")
class CloneHasTheTemplatesDisk(Clones):
    def after(self, source: str, spec: VMSpec) -> None:
        disk = self.disk_path(spec.uuid)
        size = disk.stat().st_size
        os.truncate(disk, 0)
        os.truncate(disk, size)


@mutants.add("clone-has-the-specs-size", 23, "A clone's disk gets the size of the spec.")
class CloneHasTheSpecsSize(Clones):
    def after(self, source: str, spec: VMSpec) -> None:
        os.truncate(self.disk_path(spec.uuid), spec.disk)


@mutants.add("clone-stops-its-source", 23, "A source that runs is stopped.")
class CloneStopsItsSource(Clones):
    def before(self, source: str, undo: UndoLog) -> None:
        if self.state_now(source) is State.RUNNING:
            self.stop(source, force=True, timeout=1)


@mutants.add("clone-copies-a-running-source", 23, "A source that runs is copied as it is.")
class CloneCopiesARunningSource(Base):
    def clone(
        self, source: str, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog
    ) -> None:
        state = self._vms.existing(source).state
        if state == "running":
            self.put_state(source, "off")
        try:
            super().clone(source, spec, delivery, mark, undo)
        finally:
            self.put_state(source, state)


@mutants.add("clone-copies-a-suspended-source", 23, "A suspended source counts as off.")
class CloneCopiesASuspendedSource(Base):
    def clone(
        self, source: str, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog
    ) -> None:
        state = self._vms.existing(source).state
        if state == "suspended":
            self.put_state(source, "off")
        try:
            super().clone(source, spec, delivery, mark, undo)
        finally:
            self.put_state(source, state)


@mutants.add("clone-calls-suspended-running", 23, "A suspended source has the wrong code.")
class CloneCallsSuspendedRunning(Clones):
    def before(self, source: str, undo: UndoLog) -> None:
        if self.state_now(source) not in OFF:
            raise ConflictError("the source is not off", code="vm-running", vm=source)


@mutants.add("clone-changes-its-sources-mark", 23, "The source's mark names the clone's work.")
class CloneChangesItsSourcesMark(Clones):
    def before(self, source: str, undo: UndoLog) -> None:
        self.put_mark(source, replace(self.mark_now(source), operation=undo.operation))


@mutants.add("clone-leaves-a-snapshot", 23, "The source keeps a snapshot that the clone needed.")
class CloneLeavesASnapshot(Clones):
    def before(self, source: str, undo: UndoLog) -> None:
        self.take_snapshot(source, f"clone-{undo.operation}", undo)


@mutants.add("clone-makes-its-source-stopped", 23, "A source that never ran counts as stopped.")
class CloneMakesItsSourceStopped(Clones):
    def after(self, source: str, spec: VMSpec) -> None:
        self.put_state(source, "off")


@mutants.add("clone-is-started", 23, "A clone runs already.")
class CloneIsStarted(Clones):
    def after(self, source: str, spec: VMSpec) -> None:
        self.start(spec.uuid, None)


@mutants.add("clone-has-its-sources-mark", 23, "A clone carries the mark of its source.")
class CloneHasItsSourcesMark(Clones):
    def after(self, source: str, spec: VMSpec) -> None:
        self.put_mark(spec.uuid, self.mark_now(source))


@mutants.add("clone-has-its-sources-delivery", 23, "A clone is told what its source was told.")
class CloneHasItsSourcesDelivery(Clones):
    def after(self, source: str, spec: VMSpec) -> None:
        self.seed_path(spec.uuid).write_bytes(self.seed_path(source).read_bytes())


@mutants.add("clone-has-its-sources-cards", 23, "A clone has the MACs of its source.")
class CloneHasItsSourcesCards(Clones):
    def after(self, source: str, spec: VMSpec) -> None:
        cards = self._vms.existing(source).interfaces
        self._vms.change(spec.uuid, lambda domain: replace(domain, interfaces=cards))


@mutants.add("clone-has-its-sources-memory-size", 23, "A clone is as large as its source.")
class CloneHasItsSourcesMemorySize(Clones):
    def after(self, source: str, spec: VMSpec) -> None:
        size = self._vms.existing(source)
        self._vms.change(
            spec.uuid, lambda domain: replace(domain, memory=size.memory, vcpus=size.vcpus)
        )


@mutants.add("clone-is-announced-too-late", 23, "A clone is announced when it is all there.")
class CloneIsAnnouncedTooLate(Base):
    def clone(
        self, source: str, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog
    ) -> None:
        log = LateLog(undo)
        super().clone(source, spec, delivery, mark, log)
        log.tell()


@mutants.add("clone-does-not-announce-its-disk", 23, "The copied disk is never announced.")
class CloneDoesNotAnnounceItsDisk(Base):
    def clone(
        self, source: str, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog
    ) -> None:
        super().clone(source, spec, delivery, mark, PartLog(undo, deaf=("volume",)))


@mutants.add("clone-replaces-a-namesake", 23, "A VM of the clone's name is deleted first.")
class CloneReplacesANamesake(Base):
    def clone(
        self, source: str, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog
    ) -> None:
        for each in self.all_now():
            if each.name == spec.name and each.uuid != source:
                self.delete(each.uuid)
        super().clone(source, spec, delivery, mark, undo)


@mutants.add("failed-clone-deletes-its-source", 23, "A failed clone cleans up the wrong VM.")
class FailedCloneDeletesItsSource(Base):
    def clone(
        self, source: str, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog
    ) -> None:
        try:
            super().clone(source, spec, delivery, mark, undo)
        except HypervisorError:
            self.delete(source)
            raise
