"""Mistakes in holding a VM's CPUs (sentence 24)."""

from __future__ import annotations

from ims_core.errors import ConflictError
from ims_core.models import State
from tests.mutants.mutant import Group
from tests.mutants.parts import OFF, Base, conflict

mutants = Group()


@mutants.add("pause-suspends", 24, "Pause saves the memory and takes the power away.")
class PauseSuspends(Base):
    def pause(self, vm: str) -> None:
        if self.state_now(vm) is State.RUNNING:
            self.suspend(vm)
        else:
            super().pause(vm)


@mutants.add("pause-stops", 24, "Pause takes the power away.")
class PauseStops(Base):
    def pause(self, vm: str) -> None:
        super().pause(vm)
        self.stop(vm, force=True, timeout=1)


@mutants.add("pause-does-nothing", 24, "Pause returns, and the VM runs on.")
class PauseDoesNothing(Base):
    def pause(self, vm: str) -> None:
        super().pause(vm)
        self.put_state(vm, "running")


@mutants.add("pause-takes-memory-in-the-pool", 24, "Pause writes the memory to disk as well.")
class PauseTakesMemoryInThePool(Base):
    def pause(self, vm: str) -> None:
        super().pause(vm)
        with (self.root / "memory" / vm).open("wb") as file:
            file.truncate(self._vms.existing(vm).memory or 0)


@mutants.add("pause-twice-fails", 24, "Pausing a paused VM is an error.")
class PauseTwiceFails(Base):
    def pause(self, vm: str) -> None:
        if self.state_now(vm) is State.PAUSED:
            raise conflict("vm-paused", vm)
        super().pause(vm)


@mutants.add("pause-twice-resumes", 24, "Pausing a paused VM lets it go on, as a switch does.")
class PauseTwiceResumes(Base):
    def pause(self, vm: str) -> None:
        if self.state_now(vm) is State.PAUSED:
            self.resume(vm)
        else:
            super().pause(vm)


@mutants.add("pause-of-a-stopped-vm-succeeds", 24, "Pausing a VM that is off is no error.")
class PauseOfAStoppedVmSucceeds(Base):
    def pause(self, vm: str) -> None:
        if self.state_now(vm) not in OFF:
            super().pause(vm)


@mutants.add("pause-of-a-suspended-vm-succeeds", 24, "Pausing a suspended VM is no error.")
class PauseOfASuspendedVmSucceeds(Base):
    def pause(self, vm: str) -> None:
        if self.state_now(vm) is not State.SUSPENDED:
            super().pause(vm)


@mutants.add("pause-calls-suspended-off", 24, "Pausing a suspended VM has the wrong code.")
class PauseCallsSuspendedOff(Base):
    def pause(self, vm: str) -> None:
        try:
            super().pause(vm)
        except ConflictError as error:
            raise conflict("vm-not-running", vm) from error


@mutants.add("pause-of-a-suspended-vm-drops-it", 24, "A refused pause gives up saved memory.")
class PauseOfASuspendedVmDropsIt(Base):
    def pause(self, vm: str) -> None:
        if self.state_now(vm) is State.SUSPENDED:
            self.stop(vm, force=True, timeout=1)
            raise conflict("vm-suspended", vm)
        super().pause(vm)


@mutants.add("paused-vm-cannot-go-on", 24, "Resume knows suspended VMs only.")
class PausedVmCannotGoOn(Base):
    def resume(self, vm: str) -> None:
        if self.state_now(vm) is State.PAUSED:
            raise conflict("vm-not-suspended", vm)
        super().resume(vm)


@mutants.add("paused-vm-is-restarted", 24, "Resume restarts a paused VM.")
class PausedVmIsRestarted(Base):
    def resume(self, vm: str) -> None:
        paused = self.state_now(vm) is State.PAUSED
        super().resume(vm)
        if paused:
            self.stop(vm, force=True, timeout=1)
            self.start(vm, None)


@mutants.add("pause-without-suspend", 24, "What can be paused cannot be suspended or resumed.")
class PauseWithoutSuspend(Base):
    suspend = None  # type: ignore[assignment]
    resume = None  # type: ignore[assignment]
