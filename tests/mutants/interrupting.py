"""Mistakes in saving memory and going on (sentence 21)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.errors import BusyError, ConflictError, HypervisorError
from ims_core.models import State
from tests.mutants.mutant import Group
from tests.mutants.parts import OFF, Base, conflict, kept

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

mutants = Group()


@mutants.add("suspend-only-pauses", 21, "Suspend holds the CPUs, and saves nothing.")
class SuspendOnlyPauses(Base):
    def suspend(self, vm: str) -> None:
        if self.state_now(vm) is State.RUNNING:
            self.pause(vm)
        else:
            super().suspend(vm)


@mutants.add("suspend-lets-the-vm-run-on", 21, "The memory is saved, and the VM goes on.")
class SuspendLetsTheVmRunOn(Base):
    def suspend(self, vm: str) -> None:
        super().suspend(vm)
        self.resume(vm)


@mutants.add("suspend-only-stops", 21, "Suspend stops the VM, and its memory is lost.")
class SuspendOnlyStops(Base):
    def suspend(self, vm: str) -> None:
        super().suspend(vm)
        self.stop(vm, force=True, timeout=1)


@mutants.add("suspend-twice-fails", 21, "Suspending a suspended VM is an error.")
class SuspendTwiceFails(Base):
    def suspend(self, vm: str) -> None:
        if self.state_now(vm) is State.SUSPENDED:
            raise conflict("vm-suspended", vm)
        super().suspend(vm)


@mutants.add("suspend-of-a-stopped-vm-succeeds", 21, "Suspending a VM that is off is no error.")
class SuspendOfAStoppedVmSucceeds(Base):
    def suspend(self, vm: str) -> None:
        if self.state_now(vm) not in OFF:
            super().suspend(vm)


@mutants.add("suspend-refuses-a-paused-vm", 21, "A paused VM cannot be suspended.")
class SuspendRefusesAPausedVm(Base):
    def suspend(self, vm: str) -> None:
        if self.state_now(vm) is State.PAUSED:
            raise conflict("vm-not-running", vm)
        super().suspend(vm)


@mutants.add("failed-suspend-stops-the-vm", 21, "After a suspend that failed the VM is off.")
class FailedSuspendStopsTheVm(Base):
    def suspend(self, vm: str) -> None:
        try:
            super().suspend(vm)
        except HypervisorError:
            self.stop(vm, force=True, timeout=1)
            raise


@mutants.add("failed-suspend-leaves-it-paused", 21, "After a suspend that failed the VM is held.")
class FailedSuspendLeavesItPaused(Base):
    def suspend(self, vm: str) -> None:
        try:
            super().suspend(vm)
        except HypervisorError:
            self.put_state(vm, "paused")
            raise


@mutants.add("busy-suspend-leaves-it-paused", 21, "After a busy suspend the VM is held.")
class BusySuspendLeavesItPaused(Base):
    def suspend(self, vm: str) -> None:
        try:
            super().suspend(vm)
        except BusyError:
            self.put_state(vm, "paused")
            raise


@mutants.add("failed-suspend-leaves-memory", 21, "What a failed suspend has saved stays.")
class FailedSuspendLeavesMemory(Base):
    def suspend(self, vm: str) -> None:
        try:
            super().suspend(vm)
        except HypervisorError:
            (self.root / "memory" / vm).write_bytes(bytes(4096))
            raise


@mutants.add("resume-starts-afresh", 21, "A suspended VM does not go on, it starts again.")
class ResumeStartsAfresh(Base):
    def resume(self, vm: str) -> None:
        if self.state_now(vm) is State.SUSPENDED:
            super().resume(vm)
            self.stop(vm, force=True, timeout=1)
            self.start(vm, None)
        else:
            super().resume(vm)


@mutants.add("resume-of-a-running-vm-fails", 21, "Resuming a running VM is an error.")
class ResumeOfARunningVmFails(Base):
    def resume(self, vm: str) -> None:
        if self.state_now(vm) is State.RUNNING:
            raise conflict("vm-running", vm)
        super().resume(vm)


@mutants.add("resume-starts-a-stopped-vm", 21, "Resuming a VM that is off starts it.")
class ResumeStartsAStoppedVm(Base):
    def resume(self, vm: str) -> None:
        if self.state_now(vm) in OFF:
            self.start(vm, None)
        else:
            super().resume(vm)


@mutants.add("resume-of-a-stopped-vm-succeeds", 21, "Resuming a VM that is off does nothing.")
class ResumeOfAStoppedVmSucceeds(Base):
    def resume(self, vm: str) -> None:
        if self.state_now(vm) not in OFF:
            super().resume(vm)


@mutants.add("resume-off-has-a-wrong-code", 21, "Resuming a VM that is off has another code.")
class ResumeOffHasAWrongCode(Base):
    def resume(self, vm: str) -> None:
        try:
            super().resume(vm)
        except ConflictError as error:
            raise conflict("vm-not-running", vm) from error


@mutants.add("resume-leaves-the-memory", 21, "What was saved stays after the VM goes on.")
class ResumeLeavesTheMemory(Base):
    def resume(self, vm: str) -> None:
        with kept(self.root, [self.root / "memory" / vm]):
            super().resume(vm)


@mutants.add("failed-resume-drops-the-memory", 21, "A resume that fails gives up the memory.")
class FailedResumeDropsTheMemory(Base):
    def resume(self, vm: str) -> None:
        try:
            super().resume(vm)
        except HypervisorError:
            self.put_state(vm, "off")
            (self.root / "memory" / vm).unlink(missing_ok=True)
            raise


@mutants.add("resume-forgets-the-delivery", 21, "A VM goes on without its medium.")
class ResumeForgetsTheDelivery(Base):
    def resume(self, vm: str) -> None:
        suspended = self.state_now(vm) is State.SUSPENDED
        super().resume(vm)
        if suspended:
            self.seed_path(vm).write_bytes(b"")


@mutants.add("resume-keeps-an-old-pause", 21, "A VM suspended while paused goes on paused.")
class ResumeKeepsAnOldPause(Base):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._paused: set[str] = set()

    def suspend(self, vm: str) -> None:
        paused = self.state_now(vm) is State.PAUSED
        super().suspend(vm)
        if paused:
            self._paused.add(vm)

    def resume(self, vm: str) -> None:
        paused = self.state_now(vm) is State.SUSPENDED and vm in self._paused
        super().resume(vm)
        self._paused.discard(vm)
        if paused:
            self.put_state(vm, "paused")
