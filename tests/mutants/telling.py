"""Mistakes in telling a running VM again (sentence 20)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import HypervisorError, UnsupportedError
from ims_core.models import State
from tests.mutants.mutant import Group
from tests.mutants.parts import OFF, Base

if TYPE_CHECKING:
    from ims_core.models import Delivery

mutants = Group()


@mutants.add("update-does-not-record", 20, "The mark does not learn the new delivery.")
class UpdateDoesNotRecord(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        mark = self.mark_now(vm)
        super().update_context(vm, delivery)
        self.put_mark(vm, mark)


@mutants.add("update-records-no-nonce", 20, "The mark learns the new digest only.")
class UpdateRecordsNoNonce(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        mark = self.mark_now(vm)
        super().update_context(vm, delivery)
        self.put_mark(vm, replace(self.mark_now(vm), nonce=mark.nonce))


@mutants.add("update-only-records", 20, "The mark is changed, and the delivery is not.")
class UpdateOnlyRecords(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        if self.state_now(vm) in OFF or delivery.carrier not in self.features.carriers:
            super().update_context(vm, delivery)
        self.record(vm, delivery)


@mutants.add("update-restarts-the-vm", 20, "The VM is restarted so that it reads the new one.")
class UpdateRestartsTheVm(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        super().update_context(vm, delivery)
        self.stop(vm, force=True, timeout=1)
        self.start(vm, None)


@mutants.add("update-stops-the-vm", 20, "The VM is off afterwards, to be started with the new one.")
class UpdateStopsTheVm(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        super().update_context(vm, delivery)
        self.stop(vm, force=True, timeout=1)


@mutants.add("update-leaves-the-vm-paused", 20, "The VM is held for the exchange, and stays so.")
class UpdateLeavesTheVmPaused(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        super().update_context(vm, delivery)
        self.pause(vm)


@mutants.add(
    "failed-update-ejects-the-old-one", 20, "The old delivery goes before the new is there."
)
class FailedUpdateEjectsTheOldOne(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        try:
            super().update_context(vm, delivery)
        except HypervisorError:
            self.seed_path(vm).write_bytes(b"")
            raise


@mutants.add(
    "failed-update-leaves-half-a-medium", 20, "A failed update leaves half of the new one."
)
class FailedUpdateLeavesHalfAMedium(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        try:
            super().update_context(vm, delivery)
        except HypervisorError:
            self.seed_path(vm).write_bytes(delivery.medium[: len(delivery.medium) // 2])
            raise


@mutants.add("failed-update-is-recorded", 20, "The mark names a delivery that is not there.")
class FailedUpdateIsRecorded(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        if self.mark_now(vm).nonce == delivery.nonce:
            return
        try:
            super().update_context(vm, delivery)
        except HypervisorError:
            self.record(vm, delivery)
            raise


@mutants.add("update-cannot-be-repeated", 20, "A failed update leaves a file that stops the next.")
class UpdateCannotBeRepeated(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        new = self.root / "seeds" / f"{vm}.new"
        if new.exists():
            raise HypervisorError(f"{new.name} exists already", vm=vm)
        new.touch()
        super().update_context(vm, delivery)
        new.unlink()


@mutants.add("update-skips-an-equal-digest", 20, "With the same digest nothing is done at all.")
class UpdateSkipsAnEqualDigest(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        if self.state_now(vm) in OFF or self.mark_now(vm).digest != delivery.digest:
            super().update_context(vm, delivery)


@mutants.add("update-of-a-stopped-vm-succeeds", 20, "A VM that is off is updated silently.")
class UpdateOfAStoppedVmSucceeds(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        if self.state_now(vm) not in OFF:
            super().update_context(vm, delivery)


@mutants.add("update-starts-a-stopped-vm", 20, "A VM that is off is started by an update.")
class UpdateStartsAStoppedVm(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        if self.state_now(vm) in OFF:
            self.start(vm, delivery)
        else:
            super().update_context(vm, delivery)


@mutants.add("update-of-a-suspended-vm-succeeds", 20, "A suspended VM's delivery is exchanged.")
class UpdateOfASuspendedVmSucceeds(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        if self.state_now(vm) is State.SUSPENDED:
            self.put_seed(vm, delivery)
            self.record(vm, delivery)
        else:
            super().update_context(vm, delivery)


@mutants.add("update-ignores-an-unknown-carrier", 20, "A carrier it lacks is ignored silently.")
class UpdateIgnoresAnUnknownCarrier(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        with suppress(UnsupportedError):
            super().update_context(vm, delivery)
