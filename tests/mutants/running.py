"""Mistakes in starting, stopping and deleting (sentences 10 to 13)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, DeadlineError, HypervisorError
from ims_core.models import State
from tests.mutants.mutant import Group
from tests.mutants.parts import OFF, Base, conflict, kept

if TYPE_CHECKING:
    from ims_core.models import Delivery

mutants = Group()


# --- 10 ---


@mutants.add("start-delivers-too-late", 10, "The delivery is put in place when the guest runs.")
class StartDeliversTooLate(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        super().start(vm, None)
        if delivery is not None and self.mark_now(vm).nonce != delivery.nonce:
            self.put_seed(vm, delivery)
            self.record(vm, delivery)


@mutants.add("start-never-delivers-again", 10, "A second start leaves the old delivery in place.")
class StartNeverDeliversAgain(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        again = self.state_now(vm) is State.STOPPED
        super().start(vm, None if again else delivery)
        if again and delivery is not None:
            self.record(vm, delivery)


@mutants.add("start-trusts-an-equal-digest", 10, "With the same digest the old nonce stays there.")
class StartTrustsAnEqualDigest(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        mark = self.mark_now(vm)
        if delivery is not None and mark.digest == delivery.digest and mark.nonce:
            super().start(vm, None)
            self.put_mark(vm, replace(mark, nonce=delivery.nonce))
        else:
            super().start(vm, delivery)


@mutants.add("start-does-not-record", 10, "The mark does not learn what was delivered.")
class StartDoesNotRecord(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        mark = self.mark_now(vm)
        super().start(vm, delivery)
        self.put_mark(vm, mark)


@mutants.add("start-records-no-digest", 10, "The mark learns the nonce only.")
class StartRecordsNoDigest(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        mark = self.mark_now(vm)
        super().start(vm, delivery)
        self.put_mark(vm, replace(self.mark_now(vm), digest=mark.digest))


@mutants.add("failed-start-is-recorded", 10, "The mark names a delivery that was not put there.")
class FailedStartIsRecorded(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        try:
            super().start(vm, delivery)
        except HypervisorError:
            if delivery is not None:
                self.record(vm, delivery)
            raise


@mutants.add("start-replaces-what-is-in-place", 10, "A delivery already in place is written again.")
class StartReplacesWhatIsInPlace(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        mark = self.mark_now(vm)
        if delivery is not None and mark.nonce == delivery.nonce and self.state_now(vm) in OFF:
            self.put_mark(vm, replace(mark, nonce=""))
        super().start(vm, delivery)


@mutants.add("start-of-a-running-vm-succeeds", 10, "Starting a running VM is no error.")
class StartOfARunningVmSucceeds(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        if self.state_now(vm) is not State.RUNNING:
            super().start(vm, delivery)


@mutants.add("start-resets-a-running-vm", 10, "Starting a running VM restarts it.")
class StartResetsARunningVm(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        if self.state_now(vm) is State.RUNNING:
            self.stop(vm, force=True, timeout=1)
        super().start(vm, delivery)


@mutants.add("start-of-a-running-vm-delivers", 10, "A refused start has delivered already.")
class StartOfARunningVmDelivers(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        if self.state_now(vm) is State.RUNNING and delivery is not None:
            self.record(vm, delivery)
        super().start(vm, delivery)


@mutants.add("start-resumes-a-suspended-vm", 10, "Starting a suspended VM lets it go on.")
class StartResumesASuspendedVm(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        if self.state_now(vm) is State.SUSPENDED:
            self.resume(vm)
        else:
            super().start(vm, delivery)


@mutants.add("start-drops-saved-memory", 10, "Starting a suspended VM gives up its memory.")
class StartDropsSavedMemory(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        if self.state_now(vm) is State.SUSPENDED:
            self.stop(vm, force=True, timeout=1)
        super().start(vm, delivery)


@mutants.add("start-calls-suspended-running", 10, "A suspended VM is refused by the wrong code.")
class StartCallsSuspendedRunning(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        if self.state_now(vm) is State.SUSPENDED:
            raise conflict("vm-running", vm)
        super().start(vm, delivery)


@mutants.add("start-needs-a-delivery", 10, "A start without a new delivery fails.")
class StartNeedsADelivery(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        if delivery is None and self.state_now(vm) in OFF:
            raise HypervisorError("no medium was given", vm=vm)
        super().start(vm, delivery)


# --- 11 ---


@mutants.add("stop-does-not-wait", 11, "A soft stop returns while the guest still runs.")
class StopDoesNotWait(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        if self.ignores and not force and self.state_now(vm) is State.RUNNING:
            return
        super().stop(vm, force=force, timeout=timeout)


@mutants.add("stop-turns-to-force", 11, "When the time is over the power is taken away.")
class StopTurnsToForce(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        try:
            super().stop(vm, force=force, timeout=timeout)
        except DeadlineError:
            super().stop(vm, force=True, timeout=timeout)


@mutants.add("late-stop-takes-the-power", 11, "After the DeadlineError the VM is off.")
class LateStopTakesThePower(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        try:
            super().stop(vm, force=force, timeout=timeout)
        except DeadlineError:
            super().stop(vm, force=True, timeout=timeout)
            raise


@mutants.add("late-stop-is-a-refusal", 11, "A guest that does not stop is a HypervisorError.")
class LateStopIsARefusal(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        try:
            super().stop(vm, force=force, timeout=timeout)
        except DeadlineError as error:
            raise HypervisorError(error.message, vm=vm) from error


@mutants.add("stop-counts-milliseconds", 11, "The time-out is taken for milliseconds.")
class StopCountsMilliseconds(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        super().stop(vm, force=force, timeout=timeout / 1000)


@mutants.add("stop-of-a-stopped-vm-fails", 11, "Stopping a VM that is off is an error.")
class StopOfAStoppedVmFails(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        if self.state_now(vm) in OFF:
            raise conflict("vm-not-running", vm)
        super().stop(vm, force=force, timeout=timeout)


@mutants.add("force-on-a-stopped-vm-fails", 11, "Only the forced stop of a VM that is off fails.")
class ForceOnAStoppedVmFails(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        if force and self.state_now(vm) in OFF:
            raise HypervisorError("domain is not running", vm=vm)
        super().stop(vm, force=force, timeout=timeout)


@mutants.add("stop-makes-a-new-vm-stopped", 11, "Stopping a VM that never ran changes its state.")
class StopMakesANewVmStopped(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        super().stop(vm, force=force, timeout=timeout)
        self.put_state(vm, "off")


@mutants.add("soft-stop-drops-saved-memory", 11, "A soft stop gives up a suspended VM's memory.")
class SoftStopDropsSavedMemory(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        suspended = self.state_now(vm) is State.SUSPENDED
        super().stop(vm, force=force or suspended, timeout=timeout)


@mutants.add("soft-stop-takes-suspended-for-off", 11, "A suspended VM counts as stopped.")
class SoftStopTakesSuspendedForOff(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        if force or self.state_now(vm) is not State.SUSPENDED:
            super().stop(vm, force=force, timeout=timeout)


@mutants.add("force-keeps-saved-memory", 11, "A forced stop leaves a suspended VM as it is.")
class ForceKeepsSavedMemory(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        if not force or self.state_now(vm) is not State.SUSPENDED:
            super().stop(vm, force=force, timeout=timeout)


@mutants.add("force-leaves-memory-behind", 11, "The memory given up still takes room.")
class ForceLeavesMemoryBehind(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        with kept(self.root, [self.root / "memory" / vm]):
            super().stop(vm, force=force, timeout=timeout)


@mutants.add("force-refuses-a-paused-vm", 11, "A paused VM cannot be stopped by force.")
class ForceRefusesAPausedVm(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        if self.state_now(vm) is State.PAUSED:
            raise conflict("vm-not-running", vm)
        super().stop(vm, force=force, timeout=timeout)


@mutants.add("stop-deletes-the-vm", 11, "A VM is defined only for as long as it runs.")
class StopDeletesTheVm(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        ran = self.state_now(vm) not in OFF
        super().stop(vm, force=force, timeout=timeout)
        if ran:
            self.delete(vm)


@mutants.add("force-deletes-snapshots", 11, "A forced stop removes the VM's snapshots.")
class ForceDeletesSnapshots(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        super().stop(vm, force=force, timeout=timeout)
        for each in self.list_snapshots(vm) if force else ():
            self.delete_snapshot(vm, each.name)


@mutants.add("stop-clears-the-mark", 11, "A stopped VM's mark has lost digest and nonce.")
class StopClearsTheMark(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        super().stop(vm, force=force, timeout=timeout)
        self.put_mark(vm, replace(self.mark_now(vm), digest="", nonce=""))


# --- 12 ---


@mutants.add("delete-of-nothing-raises", 12, "Deleting a VM that is gone is an error.")
class DeleteOfNothingRaises(Base):
    def delete(self, vm: str) -> None:
        self.state_now(vm)
        super().delete(vm)


@mutants.add("delete-leaves-the-disk", 12, "A deleted VM's disk stays.")
class DeleteLeavesTheDisk(Base):
    def delete(self, vm: str) -> None:
        there = any(each.uuid == vm for each in self.all_now())
        with kept(self.root, [self.disk_path(vm)] if there else []):
            super().delete(vm)


@mutants.add("delete-leaves-the-medium", 12, "A deleted VM's medium stays.")
class DeleteLeavesTheMedium(Base):
    def delete(self, vm: str) -> None:
        there = any(each.uuid == vm for each in self.all_now())
        with kept(self.root, [self.seed_path(vm)] if there else []):
            super().delete(vm)


@mutants.add("delete-leaves-the-memory", 12, "A suspended VM is deleted without its memory.")
class DeleteLeavesTheMemory(Base):
    def delete(self, vm: str) -> None:
        with kept(self.root, [self.root / "memory" / vm]):
            super().delete(vm)


@mutants.add("delete-leaves-the-snapshots", 12, "A VM is deleted without its snapshots.")
class DeleteLeavesTheSnapshots(Base):
    def delete(self, vm: str) -> None:
        with kept(self.root, (self.root / "snapshots").glob(f"{vm}.*")):
            super().delete(vm)


@mutants.add("delete-refuses-a-running-vm", 12, "A VM that is on cannot be deleted.")
class DeleteRefusesARunningVm(Base):
    def delete(self, vm: str) -> None:
        if any(each.uuid == vm and each.state is State.RUNNING for each in self.all_now()):
            raise conflict("vm-running", vm)
        super().delete(vm)


@mutants.add("delete-refuses-a-paused-vm", 12, "A paused VM cannot be deleted.")
class DeleteRefusesAPausedVm(Base):
    def delete(self, vm: str) -> None:
        if any(each.uuid == vm and each.state is State.PAUSED for each in self.all_now()):
            raise conflict("vm-paused", vm)
        super().delete(vm)


@mutants.add("delete-refuses-a-suspended-vm", 12, "A VM of ours whose memory is saved is refused.")
class DeleteRefusesASuspendedVm(Base):
    def delete(self, vm: str) -> None:
        if any(each.uuid == vm and each.state is State.SUSPENDED for each in self.all_now()):
            raise conflict("vm-suspended", vm)
        super().delete(vm)


@mutants.add("delete-removes-the-mark-first", 12, "A failed delete leaves disks without a mark.")
class DeleteRemovesTheMarkFirst(Base):
    def delete(self, vm: str) -> None:
        try:
            super().delete(vm)
        except (HypervisorError, OSError):
            (self.root / "domains" / f"{vm}.json").unlink(missing_ok=True)
            raise


@mutants.add("delete-of-half-a-vm-fails", 12, "A VM whose disk is gone cannot be deleted.")
class DeleteOfHalfAVmFails(Base):
    def delete(self, vm: str) -> None:
        if any(each.uuid == vm and each.problem for each in self.all_now()):
            raise HypervisorError("storage volume not found", vm=vm)
        super().delete(vm)


@mutants.add("delete-takes-an-adopted-disk", 12, "An adopted VM's disks are removed with it.")
class DeleteTakesAnAdoptedDisk(Base):
    def delete(self, vm: str) -> None:
        for each in self.all_now():
            if each.uuid == vm and each.mark and not each.mark.operation:
                if each.state is State.SUSPENDED:
                    raise conflict("vm-suspended", vm)
                self.put_mark(vm, replace(each.mark, operation="adopted"))
        super().delete(vm)


@mutants.add("delete-takes-adopted-memory", 12, "An adopted VM is deleted with its saved memory.")
class DeleteTakesAdoptedMemory(Base):
    def delete(self, vm: str) -> None:
        try:
            super().delete(vm)
        except ConflictError:
            self.stop(vm, force=True, timeout=1)
            super().delete(vm)


@mutants.add("delete-goes-by-the-name-alone", 12, "Disks of VMs with a longer name go as well.")
class DeleteGoesByTheNameAlone(Base):
    def delete(self, vm: str) -> None:
        names = [each.name for each in self.all_now() if each.uuid == vm]
        super().delete(vm)
        for name in names:
            for path in (self.root / "volumes").glob(f"{name}*"):
                path.unlink()


# --- 13 ---


@mutants.add("stop-ejects-the-delivery", 13, "A stopped VM has lost its medium.")
class StopEjectsTheDelivery(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        ran = self.state_now(vm) not in OFF
        super().stop(vm, force=force, timeout=timeout)
        if ran:
            self.seed_path(vm).unlink(missing_ok=True)


@mutants.add("start-empties-the-medium", 13, "The medium is emptied once the guest has read it.")
class StartEmptiesTheMedium(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        super().start(vm, delivery)
        self.seed_path(vm).write_bytes(b"")


@mutants.add("suspend-ejects-the-delivery", 13, "A suspended VM has lost its medium.")
class SuspendEjectsTheDelivery(Base):
    def suspend(self, vm: str) -> None:
        super().suspend(vm)
        self.seed_path(vm).write_bytes(b"")


@mutants.add("failed-start-ejects-the-delivery", 13, "A start that fails takes the medium away.")
class FailedStartEjectsTheDelivery(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        try:
            super().start(vm, delivery)
        except HypervisorError:
            self.seed_path(vm).write_bytes(b"")
            raise
