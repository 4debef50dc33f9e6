# ruff: noqa: ARG002 - a method that does nothing needs none of its arguments
"""Mistakes in how a provider behaves towards its surroundings (sentences 17 to 19)."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import NAMESPACE_OID, uuid5

from ims_core.errors import HypervisorError, NotFoundError, NotOursError, UnsupportedError
from ims_core.models import Carrier, CarrierLimits, Features, Mark, State
from ims_core.spi import NOTHING_KNOWN
from ims_fake import FakeProvider
from tests.mutants.mutant import Group
from tests.mutants.parts import CHANGING, Base, Looks, around

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ims_core.models import VM, Delivery, Interface, Metrics, Snapshot, VMSpec
    from ims_core.spi import ConsoleStream, UndoLog

mutants = Group()


# --- 17 ---


@mutants.add("missing-vm-is-a-refusal", 17, "A VM that is not there is a HypervisorError.")
@around(CHANGING, lambda healthy: lambda self, *args, **more: self.vague(healthy, *args, **more))
class MissingVmIsARefusal(Base):
    def vague(self, healthy: Callable[..., Any], *args: Any, **more: Any) -> Any:
        try:
            return healthy(self, *args, **more)
        except NotFoundError as error:
            if error.code != "vm-not-found":
                raise
            raise HypervisorError(error.message) from error


@mutants.add("missing-vm-is-a-key-error", 17, "A VM that is not there is a KeyError.")
@around(
    (*CHANGING, "console_tail", "list_snapshots"),
    lambda healthy: lambda self, *args, **more: self.bare(healthy, *args, **more),
)
class MissingVmIsAKeyError(Base):
    def bare(self, healthy: Callable[..., Any], *args: Any, **more: Any) -> Any:
        try:
            return healthy(self, *args, **more)
        except NotFoundError as error:
            if error.code != "vm-not-found":
                raise
            raise KeyError(error.message) from error


@mutants.add("missing-vm-counts-as-stopped", 17, "Stopping a VM that is not there succeeds.")
class MissingVmCountsAsStopped(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        if any(each.uuid == vm for each in self.all_now()):
            super().stop(vm, force=force, timeout=timeout)


@mutants.add("mark-of-a-missing-vm-is-lost", 17, "A mark for a VM that is not there is dropped.")
class MarkOfAMissingVmIsLost(Base):
    def write_mark(self, vm: str, mark: Mark) -> None:
        if any(each.uuid == vm for each in self.all_now()):
            super().write_mark(vm, mark)


@mutants.add("missing-vm-has-no-snapshots", 17, "A VM that is not there has no snapshots.")
class MissingVmHasNoSnapshots(Base):
    def list_snapshots(self, vm: str) -> Sequence[Snapshot]:
        there = any(each.uuid == vm for each in self.all_now())
        return super().list_snapshots(vm) if there else ()


@mutants.add("missing-vm-has-an-empty-console", 17, "A VM that is not there has printed nothing.")
class MissingVmHasAnEmptyConsole(Base):
    def console_tail(self, vm: str, lines: int) -> tuple[str, ...]:
        there = any(each.uuid == vm for each in self.all_now())
        return super().console_tail(vm, lines) if there else ()


@mutants.add("uuid-is-the-hypervisors", 17, "VMs are shown with the hypervisor's own UUIDs.")
class UuidIsTheHypervisors(Looks):
    def shown(self, vm: VM) -> VM:
        return replace(vm, uuid=str(uuid5(NAMESPACE_OID, vm.uuid)))


@mutants.add("counters-under-another-uuid", 17, "Counters carry the hypervisor's own UUIDs.")
class CountersUnderAnotherUuid(Looks):
    def counted(self, counters: Metrics) -> Metrics:
        return replace(counters, uuid=str(uuid5(NAMESPACE_OID, counters.uuid)))


@mutants.add("vms-are-found-by-name", 17, "Calls take the name of a VM, and not its UUID.")
@around(
    ("start", "stop"),
    lambda healthy: lambda self, vm, *args, **more: healthy(self, self.real(vm), *args, **more),
)
class VmsAreFoundByName(Base):
    def real(self, vm: str) -> str:
        """The first whose name is that of the VM meant; foreign ones come first."""
        every = self.all_now()
        name = next((each.name for each in every if each.uuid == vm), "")
        meant = [each for each in every if each.name == name]
        return min(meant, key=lambda each: each.mark is not None).uuid if meant else vm


@mutants.add("foreign-vms-are-hidden", 17, "VMs without our mark are not shown.")
class ForeignVmsAreHidden(Base):
    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,
    ) -> Sequence[VM]:
        found = super().inspect(vms, evidence=evidence, known=known)
        return [each for each in found if each.mark is not None]


@mutants.add("foreign-vms-are-refused", 17, "The provider itself refuses foreign VMs.")
@around(CHANGING, lambda healthy: lambda self, *args, **more: self.strict(healthy, *args, **more))
class ForeignVmsAreRefused(Base):
    def strict(self, healthy: Callable[..., Any], vm: str, *args: Any, **more: Any) -> Any:
        if any(each.uuid == vm and each.mark is None for each in self.all_now()):
            raise NotOursError(f"VM {vm} is not ours", vm=vm)
        return healthy(self, vm, *args, **more)


@mutants.add("foreign-vms-get-a-mark", 17, "A VM without a mark is shown with an empty one.")
class ForeignVmsGetAMark(Looks):
    def shown(self, vm: VM) -> VM:
        return replace(vm, mark=vm.mark or Mark(store="", operation="", vm=vm.uuid))


@mutants.add("known-marks-are-lost", 17, "A mark that the caller knows already is not shown.")
class KnownMarksAreLost(Base):
    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,
    ) -> Sequence[VM]:
        found = super().inspect(vms, evidence=evidence, known=known)
        return [replace(each, mark=None) if each.uuid in known else each for each in found]


# --- 18 ---


@mutants.add("start-prints", 18, "A start prints how far it is.")
class StartPrints(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        super().start(vm, delivery)
        print(f"VM {vm} is started")  # noqa: T201


@mutants.add("metrics-warns-on-stderr", 18, "Counters come with a warning on the error output.")
class MetricsWarnsOnStderr(Base):
    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        print("warning: the agent is old", file=sys.stderr)  # noqa: T201
        return super().metrics(vms)


@mutants.add("failed-stop-prints", 18, "An error is printed as well as raised.")
class FailedStopPrints(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        try:
            super().stop(vm, force=force, timeout=timeout)
        except Exception as error:
            os.write(2, f"error: {error}\n".encode())
            raise


@mutants.add("missing-vm-ends-the-process", 18, "A VM that is not there ends the process.")
class MissingVmEndsTheProcess(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        try:
            super().start(vm, delivery)
        except NotFoundError as error:
            raise SystemExit(3) from error


@mutants.add("all-pools-share-their-state", 18, "The pool opened last is used for all.")
class AllPoolsShareTheirState(Base):
    shared: ClassVar[dict[str, Any]] = {}

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.__dict__ = self.shared
        super().__init__(settings)


@mutants.add("open-changes-the-environment", 18, "Opening sets a variable of the environment.")
class OpenChangesTheEnvironment(Base):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        os.environ["FAKE_HYPERVISOR_URI"] = f"file://{self.root}"


@mutants.add("start-leaves-a-temporary-file", 18, "A start leaves a file outside its pool.")
class StartLeavesATemporaryFile(Base):
    def start(self, vm: str, delivery: Delivery | None) -> None:
        super().start(vm, delivery)
        (Path(tempfile.gettempdir()) / "ims-fake-last-start").write_text(vm)


@mutants.add("snapshots-live-in-the-instance", 18, "After a restart snapshots are not listed.")
class SnapshotsLiveInTheInstance(Base):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._taken: set[tuple[str, str]] = set()

    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        super().take_snapshot(vm, name, undo)
        self._taken.add((vm, name))

    def list_snapshots(self, vm: str) -> Sequence[Snapshot]:
        return [each for each in super().list_snapshots(vm) if (vm, each.name) in self._taken]


@mutants.add("pauses-live-in-the-instance", 18, "After a restart a paused VM looks running.")
class PausesLiveInTheInstance(Looks):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._paused: set[str] = set()

    def pause(self, vm: str) -> None:
        super().pause(vm)
        self._paused.add(vm)

    def shown(self, vm: VM) -> VM:
        lost = vm.state is State.PAUSED and vm.uuid not in self._paused
        return replace(vm, state=State.RUNNING) if lost else vm


@mutants.add("marks-live-in-the-instance", 18, "A mark written later is lost with the process.")
class MarksLiveInTheInstance(Looks):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._marks: dict[str, Mark] = {}

    def write_mark(self, vm: str, mark: Mark) -> None:
        super().write_mark(vm, self.mark_now(vm))
        self._marks[vm] = mark

    def start(self, vm: str, delivery: Delivery | None) -> None:
        super().start(vm, delivery)
        if delivery is not None and vm in self._marks:
            mark = self._marks[vm]
            self._marks[vm] = replace(mark, digest=delivery.digest, nonce=delivery.nonce)

    def shown(self, vm: VM) -> VM:
        return replace(vm, mark=self._marks.get(vm.uuid, vm.mark)) if vm.mark else vm


# --- 19 ---


@mutants.add("pause-is-not-implemented", 19, "Pause is there, and raises NotImplementedError.")
class PauseIsNotImplemented(Base):
    def pause(self, vm: str) -> None:
        raise NotImplementedError


@mutants.add("console-is-not-implemented", 19, "A console is there, and nothing behind it.")
class ConsoleIsNotImplemented(Base):
    def open_console(self, vm: str) -> ConsoleStream:
        raise NotImplementedError


@mutants.add("snapshots-are-not-supported", 19, "Snapshots are there, and always unsupported.")
class SnapshotsAreNotSupported(Base):
    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        raise UnsupportedError("this hypervisor has no snapshots", vm=vm)


@mutants.add("clone-is-not-implemented", 19, "Clone is there, and raises NotImplementedError.")
class CloneIsNotImplemented(Base):
    def clone(
        self, source: str, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog
    ) -> None:
        raise NotImplementedError


@mutants.add("addresses-cannot-be-set", 19, "A method that must be there is not implemented.")
class AddressesCannotBeSet(Base):
    def set_addresses(self, vm: str, interfaces: Sequence[Interface]) -> Sequence[Interface]:
        raise NotImplementedError


@mutants.add("old-console-is-not-implemented", 19, "The console's tail is only of running VMs.")
class OldConsoleIsNotImplemented(Base):
    def console_tail(self, vm: str, lines: int) -> tuple[str, ...]:
        if self.state_now(vm) is not State.RUNNING:
            raise NotImplementedError
        return super().console_tail(vm, lines)


@mutants.add("live-carrier-is-not-live", 19, "A carrier said to be live is refused while it runs.")
class LiveCarrierIsNotLive(Base):
    def update_context(self, vm: str, delivery: Delivery) -> None:
        if self.state_now(vm) is State.RUNNING:
            raise UnsupportedError("the medium is locked", code="carrier-impossible", vm=vm)
        super().update_context(vm, delivery)


@mutants.add("carrier-is-only-declared", 19, "A carrier is declared that create does not know.")
class CarrierIsOnlyDeclared(Base):
    features: ClassVar[Features] = replace(
        FakeProvider.features,
        carriers={
            Carrier.FAT_DISK: CarrierLimits(1 << 20),
            **FakeProvider.features.carriers,
        },
    )


@mutants.add("receipts-are-only-declared", 19, "Receipts are declared, and never shown.")
class ReceiptsAreOnlyDeclared(Looks):
    def shown(self, vm: VM) -> VM:
        return replace(vm, receipt=None)
