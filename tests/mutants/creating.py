"""Mistakes in making VMs (sentences 4 to 8)."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, HypervisorError, InvalidError
from ims_core.models import Interface, Template
from tests.mutants.mutant import Group
from tests.mutants.parts import Base, LateLog, PartLog

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ims_core.models import Delivery, Mark, VMSpec
    from ims_core.spi import Progress, UndoLog

mutants = Group()


# --- 4 ---


@mutants.add("prepare-makes-a-disk", 4, "Checking a spec takes room in the pool already.")
class PrepareMakesADisk(Base):
    def prepare(self, spec: VMSpec) -> VMSpec:
        prepared = super().prepare(spec)
        with (self.root / "volumes" / f"{spec.name}-reserved.img").open("wb") as file:
            file.truncate(spec.disk)
        return prepared


@mutants.add("plan-uploads-the-medium", 4, "Showing the plan puts the medium into the pool.")
class PlanUploadsTheMedium(Base):
    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:
        (self.root / "seeds" / f"{spec.uuid}.plan").write_bytes(delivery.medium or b"{}")
        return super().plan(spec, delivery, mark)


@mutants.add("plan-makes-the-vm", 4, "Showing the plan creates the VM, without any undo.")
class PlanMakesTheVm(Base):
    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:
        from ims_core.undo import Undo  # noqa: PLC0415

        super().create(spec, delivery, mark, Undo(mark.operation))
        return super().plan(spec, delivery, mark)

    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        planned = [each for each in self.all_now() if each.uuid == spec.uuid]
        if planned and planned[0].mark == mark:
            self.delete(spec.uuid)
        super().create(spec, delivery, mark, undo)


@mutants.add("plan-is-empty", 4, "The plan says nothing.")
class PlanIsEmpty(Base):
    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:
        super().plan(spec, delivery, mark)
        return ""


@mutants.add("prepare-enlarges-small-disks", 4, "A disk smaller than the template is enlarged.")
class PrepareEnlargesSmallDisks(Base):
    def prepare(self, spec: VMSpec) -> VMSpec:
        return super().prepare(replace(spec, disk=max(spec.disk, spec.template.virtual_size)))


@mutants.add("prepare-names-no-field", 4, "A refused spec does not say which field is wrong.")
class PrepareNamesNoField(Base):
    def prepare(self, spec: VMSpec) -> VMSpec:
        try:
            return super().prepare(spec)
        except InvalidError as error:
            raise InvalidError("the request is not valid", hint="ask your admin") from error


@mutants.add("prepare-leaves-the-network-open", 4, "The default network is not filled in.")
class PrepareLeavesTheNetworkOpen(Base):
    def prepare(self, spec: VMSpec) -> VMSpec:
        prepared = super().prepare(spec)
        pairs = zip(spec.interfaces, prepared.interfaces, strict=True)
        cards = tuple(replace(card, network=given.network) for given, card in pairs)
        return replace(prepared, interfaces=cards)


@mutants.add("prepare-leaves-the-gateway-open", 4, "What the network knows is not filled in.")
class PrepareLeavesTheGatewayOpen(Base):
    def prepare(self, spec: VMSpec) -> VMSpec:
        prepared = super().prepare(spec)
        pairs = zip(spec.interfaces, prepared.interfaces, strict=True)
        cards = tuple(
            replace(card, gateways=given.gateways, nameservers=given.nameservers)
            for given, card in pairs
        )
        return replace(prepared, interfaces=cards)


@mutants.add("prepare-leaves-the-prefix-open", 4, "A static address gets no prefix length.")
class PrepareLeavesThePrefixOpen(Base):
    def prepare(self, spec: VMSpec) -> VMSpec:
        prepared = super().prepare(spec)
        pairs = zip(spec.interfaces, prepared.interfaces, strict=True)
        cards = tuple(replace(card, addresses=given.addresses) for given, card in pairs)
        return replace(prepared, interfaces=cards)


@mutants.add("prepare-makes-up-macs", 4, "The MACs that were given are replaced by others.")
class PrepareMakesUpMacs(Base):
    def prepare(self, spec: VMSpec) -> VMSpec:
        prepared = super().prepare(spec)
        cards = tuple(
            replace(card, mac=f"52:54:00:{spec.uuid[:2]}:{spec.uuid[2:4]}:{index:02x}")
            for index, card in enumerate(prepared.interfaces)
        )
        return replace(prepared, interfaces=cards)


@mutants.add("prepare-does-not-see-a-taken-name", 4, "A taken name is only refused by create.")
class PrepareDoesNotSeeATakenName(Base):
    def prepare(self, spec: VMSpec) -> VMSpec:
        try:
            return super().prepare(spec)
        except ConflictError as error:
            if error.code != "vm-exists":
                raise
        other = replace(spec, name=f"{spec.name}-other", uuid=f"other-{spec.uuid}")
        return replace(super().prepare(other), name=spec.name, uuid=spec.uuid)


@mutants.add("prepare-does-not-see-a-taken-address", 4, "A taken address is let pass.")
class PrepareDoesNotSeeATakenAddress(Base):
    def prepare(self, spec: VMSpec) -> VMSpec:
        try:
            return super().prepare(spec)
        except ConflictError as error:
            if error.code != "address-taken":
                raise
        return spec


@mutants.add("prepare-takes-any-host", 4, "A host that does not exist is forgotten silently.")
class PrepareTakesAnyHost(Base):
    def prepare(self, spec: VMSpec) -> VMSpec:
        known = {host.name for host in self.hosts()}
        return super().prepare(spec if spec.host in known else replace(spec, host=""))


# --- 5 ---


@mutants.add("create-starts-the-vm", 5, "A new VM is running already.")
class CreateStartsTheVm(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        super().create(spec, delivery, mark, undo)
        self.start(spec.uuid, None)


@mutants.add("create-leaves-it-stopped", 5, "A new VM looks as if it had run before.")
class CreateLeavesItStopped(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        super().create(spec, delivery, mark, undo)
        self.put_state(spec.uuid, "off")


@mutants.add("create-marks-it-complete", 5, "A new VM's mark says that it is complete.")
class CreateMarksItComplete(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        super().create(spec, delivery, replace(mark, complete=True), undo)


@mutants.add("create-marks-only-ids", 5, "A mark keeps its ids, and loses what is for people.")
class CreateMarksOnlyIds(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        super().create(spec, delivery, replace(mark, owner="", addresses="", template=""), undo)


@mutants.add("create-invents-the-nonce", 5, "A new VM's mark has a nonce and digest of a start.")
class CreateInventsTheNonce(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        told = replace(mark, digest=f"sha256:{'0' * 64}", nonce="0123456789abcdef")
        super().create(spec, delivery, told, undo)


@mutants.add("create-forgets-the-delivery", 5, "A new VM has an empty medium until a start.")
class CreateForgetsTheDelivery(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        super().create(spec, delivery, mark, undo)
        self.seed_path(spec.uuid).write_bytes(b"")


@mutants.add("create-counts-memory-in-megabytes", 5, "Memory is given in MB and meant in MiB.")
class CreateCountsMemoryInMegabytes(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        memory = (spec.memory >> 20) * 1_000_000
        super().create(replace(spec, memory=memory), delivery, mark, undo)


@mutants.add("create-makes-a-card", 5, "A VM gets a card that nobody ordered.")
class CreateMakesACard(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        card = Interface(mac=f"52:54:00:ff:{spec.uuid[:2]}:{spec.uuid[2:4]}")
        super().create(replace(spec, interfaces=(*spec.interfaces, card)), delivery, mark, undo)


# --- 6 ---


@mutants.add("announces-when-all-is-made", 6, "The undo log hears of things when all is done.")
class AnnouncesWhenAllIsMade(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        log = LateLog(undo)
        super().create(spec, delivery, mark, log)
        log.tell()


@mutants.add("announces-after-making", 6, "The undo log hears of things after they are there.")
class AnnouncesAfterMaking(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        log = LateLog(undo)
        try:
            super().create(spec, delivery, mark, log)
        finally:
            log.tell()


@mutants.add("announces-a-name-without-operation", 6, "The files' names lack the operation's id.")
class AnnouncesANameWithoutOperation(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        super().create(spec, delivery, replace(mark, operation="disk"), undo)
        self.put_mark(spec.uuid, mark)


@mutants.add("announces-another-name", 6, "What is announced is not the name of what is made.")
class AnnouncesAnotherName(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        log = PartLog(undo, deaf=("volume",))
        undo.announce("volume", f"{undo.operation}-{spec.name}")
        super().create(spec, delivery, mark, log)


@mutants.add("does-not-announce-the-medium", 6, "The medium is never announced.")
class DoesNotAnnounceTheMedium(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        super().create(spec, delivery, mark, PartLog(undo, deaf=("seed",)))


@mutants.add("does-not-announce-the-vm", 6, "The disks are announced, the VM itself is not.")
class DoesNotAnnounceTheVm(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        super().create(spec, delivery, mark, PartLog(undo, deaf=("domain",)))


@mutants.add("import-announces-too-late", 6, "A template is announced when it is all there.")
class ImportAnnouncesTooLate(Base):
    def import_template(
        self, files: Mapping[str, Path], template: Template, undo: UndoLog, progress: Progress
    ) -> None:
        log = LateLog(undo)
        super().import_template(files, template, log, progress)
        log.tell()


# --- 7 ---


@mutants.add("failed-create-takes-all-back", 7, "A failed create retracts what it has announced.")
class FailedCreateTakesAllBack(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        log = PartLog(undo)
        try:
            super().create(spec, delivery, mark, log)
        except HypervisorError:
            for kind, name in tuple(log.heard):
                log.retract(kind, name)
            raise


@mutants.add("failed-create-looks-good", 7, "A create that failed returns without an error.")
class FailedCreateLooksGood(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        with suppress(HypervisorError):
            super().create(spec, delivery, mark, undo)


@mutants.add("failed-create-hides-its-cause", 7, "The cleaning up fails, and hides the cause.")
class FailedCreateHidesItsCause(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        try:
            super().create(spec, delivery, mark, undo)
        except HypervisorError:
            self.state_now(spec.uuid)  # there is none yet
            raise


@mutants.add("failed-create-leaves-scratch", 7, "A failed create leaves a file never announced.")
class FailedCreateLeavesScratch(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        scratch = self.root / "volumes" / f"{spec.name}.part"
        scratch.write_bytes(bytes(4096))
        super().create(spec, delivery, mark, undo)
        scratch.unlink()


# --- 8 ---


@mutants.add("create-replaces-a-namesake", 8, "A VM of the same name is deleted first.")
class CreateReplacesANamesake(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        for each in self.all_now():
            if each.name == spec.name:
                self.delete(each.uuid)
        super().create(spec, delivery, mark, undo)


@mutants.add("create-marks-a-namesake", 8, "A refused create has changed its namesake's mark.")
class CreateMarksANamesake(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        for each in self.all_now():
            if each.name == spec.name:
                self.put_mark(each.uuid, replace(mark, vm=each.uuid))
        super().create(spec, delivery, mark, undo)


@mutants.add("create-stops-a-namesake", 8, "A refused create has stopped its namesake.")
class CreateStopsANamesake(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        for each in self.all_now():
            if each.name == spec.name:
                self.stop(each.uuid, force=True, timeout=1)
        super().create(spec, delivery, mark, undo)


@mutants.add("taken-name-is-a-refusal", 8, "A taken name is a HypervisorError.")
class TakenNameIsARefusal(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        try:
            super().create(spec, delivery, mark, undo)
        except ConflictError as error:
            raise HypervisorError(error.message) from error


@mutants.add("taken-name-has-no-code", 8, "A taken name is a conflict without its code.")
class TakenNameHasNoCode(Base):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        try:
            super().create(spec, delivery, mark, undo)
        except ConflictError as error:
            raise ConflictError(error.message) from error


class Names(Base):
    """One that lets two VMs have one name."""

    def twice(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        super().create(replace(spec, name=f"{spec.name}-2"), delivery, mark, undo)
        self._vms.change(spec.uuid, lambda domain: replace(domain, name=spec.name))


@mutants.add("names-may-be-taken-twice", 8, "Two VMs can have the same name.")
class NamesMayBeTakenTwice(Names):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        taken = any(each.name == spec.name for each in self.all_now())
        (self.twice if taken else super().create)(spec, delivery, mark, undo)


@mutants.add("foreign-namesake-is-not-seen", 8, "Only names of VMs with our mark are taken.")
class ForeignNamesakeIsNotSeen(Names):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        found = [each for each in self.all_now() if each.name == spec.name]
        foreign = found and all(each.mark is None for each in found)
        (self.twice if foreign else super().create)(spec, delivery, mark, undo)


@mutants.add("two-creates-take-one-name", 8, "Of two creates at the same time both get the name.")
class TwoCreatesTakeOneName(Names):
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        free = all(each.name != spec.name for each in self.all_now())
        time.sleep(0.25)
        taken = any(each.name == spec.name for each in self.all_now())
        (self.twice if free and taken else super().create)(spec, delivery, mark, undo)
