"""Mistakes with the second medium of a delivery (sentences 5, 10 and 20)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.mutants.mutant import Group
from tests.mutants.parts import Base, PartLog

if TYPE_CHECKING:
    from ims_core.models import Delivery, Mark, VMSpec
    from ims_core.spi import UndoLog

mutants = Group()


@mutants.add("create-forgets-the-second-medium", 5, "The VM has one medium.")
class CreateForgetsTheSecondMedium(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        super().create(spec, replace(delivery, overlay=b""), mark, undo)


@mutants.add("create-announces-one-medium", 7, "The second medium is made, and not announced.")
class CreateAnnouncesOneMedium(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        super().create(spec, delivery, mark, PartLog(undo, deaf=("overlay",)))


@mutants.add("start-forgets-the-second-medium", 10, "The second medium stays as it was.")
class StartForgetsTheSecondMedium(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        super().start(vm, delivery and replace(delivery, overlay=b""))


@mutants.add("update-changes-the-first-medium", 20, "The first medium is changed under the guest.")
class UpdateChangesTheFirstMedium(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        super().update_context(vm, replace(delivery, overlay=b""))


@mutants.add("update-changes-both-media", 20, "The first medium is changed as well.")
class UpdateChangesBothMedia(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        if delivery.overlay:
            super().update_context(vm, replace(delivery, overlay=b""))
        super().update_context(vm, delivery)


@mutants.add("update-leaves-the-old-medium", 20, "Each second medium stays in the pool.")
class UpdateLeavesTheOldMedium(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        super().update_context(vm, delivery)
        if delivery.overlay:
            (self.root / "overlays" / f"old-{delivery.nonce}.iso").write_bytes(delivery.overlay)
