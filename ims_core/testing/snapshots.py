"""Keeping what a VM is at some time, and putting it back to that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ims_core.errors import ConflictError, NotFoundError
from ims_core.models import Resource, State
from ims_core.spi import Discarded, Pause, Snapshots, Suspend
from ims_core.testing.bench import Crash, CrashingUndo, everything, new_operation
from ims_core.undo import Undo

if TYPE_CHECKING:
    from ims_core.models import Snapshot
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_crash_at_the_announcement_of_a_snapshot_leaves_nothing",
    "test_a_paused_vm_is_not_put_back",
    "test_a_running_vm_is_not_put_back",
    "test_a_snapshot_is_announced_and_discarded_by_its_own_operation_only",
    "test_a_snapshot_is_listed_as_what_it_is",
    "test_a_snapshot_that_is_not_there_is_not_found",
    "test_a_snapshot_with_memory_comes_back_suspended_and_goes_on",
    "test_a_snapshots_name_is_unique_for_its_vm",
    "test_a_vm_is_deleted_with_its_snapshots",
    "test_a_vm_that_is_not_there_has_no_snapshots",
    "test_a_vm_that_is_off_goes_back_to_what_it_was_told_then",
    "test_a_vm_that_was_put_back_starts_with_the_delivery_of_then",
    "test_deleting_a_snapshot_leaves_the_vm_as_it_is",
    "test_restoring_gives_saved_memory_up",
    "test_the_current_snapshot_is_the_one_that_was_taken_or_restored_last",
    "test_what_was_running_keeps_running_when_a_snapshot_is_taken",
]

POWER_OFF_SECONDS = 30.0


def test_a_snapshot_is_listed_as_what_it_is(ims_target: Target, ims_bench: Bench) -> None:
    """22. A snapshot of a VM that is off holds no memory, and leaves the VM as it was."""
    provider = _provider(ims_target)
    order = ims_bench.created()
    seen = ims_bench.look(order.uuid, evidence=True)
    assert not provider.list_snapshots(order.uuid)
    operation = _take(provider, order.uuid, "first").operation
    [found] = provider.list_snapshots(order.uuid)
    assert (found.name, found.operation, found.memory) == ("first", operation, False)
    assert found.current
    assert found.taken > 0
    assert ims_bench.look(order.uuid, evidence=True) == seen


def test_what_was_running_keeps_running_when_a_snapshot_is_taken(
    ims_target: Target, ims_bench: Bench
) -> None:
    """22. A snapshot holds the memory of a VM that runs; its state is as it was afterwards."""
    provider = _provider(ims_target)
    order = ims_bench.settled()
    _take(provider, order.uuid, "running")
    assert ims_bench.look(order.uuid).state is State.RUNNING
    if isinstance(ims_target.provider, Pause):
        ims_target.provider.pause(order.uuid)
        _take(provider, order.uuid, "paused")
        assert ims_bench.look(order.uuid).state is State.PAUSED
    if isinstance(ims_target.provider, Suspend):
        ims_target.provider.suspend(order.uuid)
        _take(provider, order.uuid, "suspended")
        assert ims_bench.look(order.uuid).state is State.SUSPENDED
    assert ims_bench.mark(order.uuid) == order.mark
    assert all(each.memory for each in provider.list_snapshots(order.uuid))


def test_a_vm_that_is_off_goes_back_to_what_it_was_told_then(
    ims_target: Target, ims_bench: Bench
) -> None:
    """22. Digest and nonce of the mark are those of that time, the rest is as it is now."""
    provider = _provider(ims_target)
    order = ims_bench.created(starts=True)
    then = order.mark
    _take(provider, order.uuid, "defined")
    second = ims_bench.delivery(order.spec, changed="yes")
    if ims_target.expect_start:
        ims_target.provider.start(order.uuid, second)
        ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
        assert ims_bench.look(order.uuid).state is State.STOPPED
        _take(provider, order.uuid, "stopped")
    now = replace(
        then,
        store="another",
        owner="somebody",
        complete=True,
        addresses="net=192.0.2.9",
        digest=second.digest,
        nonce=second.nonce,
    )
    ims_target.provider.write_mark(order.uuid, now)
    provider.restore_snapshot(order.uuid, "defined")
    assert ims_bench.mark(order.uuid) == replace(now, digest=then.digest, nonce=then.nonce)
    assert ims_bench.look(order.uuid).state is State.DEFINED
    if ims_target.expect_start:
        provider.restore_snapshot(order.uuid, "stopped")
        assert ims_bench.look(order.uuid).state is State.STOPPED
        assert ims_bench.mark(order.uuid) == now


def test_a_vm_that_was_put_back_starts_with_the_delivery_of_then(
    ims_target: Target, ims_bench: Bench
) -> None:
    """22. The delivery is that of that time: a start that brings none has the guest read it."""
    provider = _provider(ims_target)
    order = ims_bench.created(starts=True)
    _take(provider, order.uuid, "first")
    second = ims_bench.delivery(order.spec, changed="yes")
    if not ims_target.expect_start:
        pytest.skip("expect_start: VMs cannot be started here")
    ims_target.provider.start(order.uuid, second)
    ims_bench.answered(order, second.nonce)
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    provider.restore_snapshot(order.uuid, "first")
    ims_target.provider.start(order.uuid, None)
    receipt = ims_bench.answered(order, order.delivery.nonce).receipt
    assert receipt is not None
    assert receipt.digest == order.delivery.digest


def test_a_running_vm_is_not_put_back(ims_target: Target, ims_bench: Bench) -> None:
    """22. restore_snapshot is for a VM that neither runs nor is paused; else ConflictError."""
    provider = _provider(ims_target)
    order = ims_bench.started()
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    _take(provider, order.uuid, "first")
    ims_target.provider.start(order.uuid, None)
    _refused(provider, order.uuid)
    assert ims_bench.look(order.uuid).state is State.RUNNING


def test_a_paused_vm_is_not_put_back(ims_target: Target, ims_bench: Bench) -> None:
    """22. restore_snapshot is not for a VM that is paused; it stays so."""
    provider = _provider(ims_target)
    if not isinstance(ims_target.provider, Pause):
        pytest.skip("pause: the provider cannot")
    order = ims_bench.created(starts=True)
    if not ims_target.expect_start:
        pytest.skip("expect_start: VMs cannot be started here")
    _take(provider, order.uuid, "first")
    ims_target.provider.start(order.uuid, order.delivery)
    ims_target.provider.pause(order.uuid)
    _refused(provider, order.uuid)
    assert ims_bench.look(order.uuid).state is State.PAUSED


def test_a_snapshot_with_memory_comes_back_suspended_and_goes_on(
    ims_target: Target, ims_bench: Bench
) -> None:
    """22. A snapshot with memory leaves the VM SUSPENDED, and resume goes on from there."""
    provider = _provider(ims_target)
    if not isinstance(ims_target.provider, Suspend):
        pytest.skip("suspend: the provider cannot")
    order = ims_bench.settled()
    answer = ims_bench.answered(order, order.delivery.nonce).receipt if ims_target.boots else None
    _take(provider, order.uuid, "running")
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    for _ in range(2):  # a snapshot is not used up
        provider.restore_snapshot(order.uuid, "running")
        assert ims_bench.look(order.uuid).state is State.SUSPENDED
        ims_target.provider.resume(order.uuid)
        vm = ims_bench.look(order.uuid, evidence=True)
        assert (vm.state, vm.mark) == (State.RUNNING, order.mark)
        if ims_target.boots:
            assert vm.receipt == answer, "it has read its delivery before"
        ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)


def test_restoring_gives_saved_memory_up(ims_target: Target, ims_bench: Bench) -> None:
    """22. What the VM is when it is restored, saved memory included, is given up."""
    provider = _provider(ims_target)
    if not isinstance(ims_target.provider, Suspend):
        pytest.skip("suspend: the provider cannot")
    order = ims_bench.settled()
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    _take(provider, order.uuid, "off")
    before = everything(ims_target)
    ims_target.provider.start(order.uuid, None)
    if not ims_target.suspends_at_once:
        ims_bench.answered(order, order.delivery.nonce)
    ims_target.provider.suspend(order.uuid)
    provider.restore_snapshot(order.uuid, "off")
    assert ims_bench.look(order.uuid).state is State.STOPPED
    assert everything(ims_target) == before


def test_a_snapshots_name_is_unique_for_its_vm(ims_target: Target, ims_bench: Bench) -> None:
    """22. Names are unique for each VM: one that is taken is ConflictError, and stays."""
    provider = _provider(ims_target)
    order, other = ims_bench.created(), ims_bench.created()
    _take(provider, order.uuid, "first")
    found, before = provider.list_snapshots(order.uuid), everything(ims_target)
    undo = Undo(new_operation())
    with pytest.raises(ConflictError) as caught:
        provider.take_snapshot(order.uuid, "first", undo)
    assert caught.value.code == "snapshot-exists"
    undo.roll_back(ims_target.provider, expired=lambda: False)
    assert provider.list_snapshots(order.uuid) == found
    assert everything(ims_target) == before
    _take(provider, other.uuid, "first")


def test_the_current_snapshot_is_the_one_that_was_taken_or_restored_last(
    ims_target: Target, ims_bench: Bench
) -> None:
    """22. Looking: what the VM is now descends directly from one snapshot at most."""
    provider = _provider(ims_target)
    order = ims_bench.created()
    for name in ("first", "second"):
        _take(provider, order.uuid, name)
        assert _current(provider, order.uuid) == [name]
    provider.restore_snapshot(order.uuid, "first")
    assert _current(provider, order.uuid) == ["first"]
    provider.delete_snapshot(order.uuid, "second")
    assert _current(provider, order.uuid) == ["first"]


def test_deleting_a_snapshot_leaves_the_vm_as_it_is(ims_target: Target, ims_bench: Bench) -> None:
    """22. delete_snapshot changes nothing of the VM as it is now, nor of other snapshots."""
    provider = _provider(ims_target)
    order = ims_bench.created()
    before = everything(ims_target)
    for name in ("first", "second", "third"):
        _take(provider, order.uuid, name)
    seen = ims_bench.look(order.uuid, evidence=True)
    provider.delete_snapshot(order.uuid, "second")
    assert ims_bench.look(order.uuid, evidence=True) == seen
    assert {each.name for each in provider.list_snapshots(order.uuid)} == {"first", "third"}
    provider.restore_snapshot(order.uuid, "third")
    for name in ("first", "third"):
        provider.delete_snapshot(order.uuid, name)
    assert ims_bench.look(order.uuid, evidence=True) == seen
    _no_layer_is_left(ims_target, before)
    if ims_target.expect_start:
        ims_target.provider.start(order.uuid, order.delivery)
        assert ims_bench.look(order.uuid).state is State.RUNNING


def test_a_snapshot_that_is_not_there_is_not_found(ims_target: Target, ims_bench: Bench) -> None:
    """22. A snapshot that is not there is NotFoundError."""
    provider = _provider(ims_target)
    order, other = ims_bench.created(), ims_bench.created()
    _take(provider, other.uuid, "first")
    for call in (provider.restore_snapshot, provider.delete_snapshot):
        with pytest.raises(NotFoundError) as caught:
            call(order.uuid, "first")
        assert caught.value.code == "snapshot-not-found"


def test_a_vm_that_is_not_there_has_no_snapshots(ims_target: Target) -> None:
    """17. Where a VM must exist and does not, NotFoundError is raised."""
    provider, nobody = _provider(ims_target), str(uuid4())
    with pytest.raises(NotFoundError):
        provider.list_snapshots(nobody)
    with pytest.raises(NotFoundError):
        provider.take_snapshot(nobody, "first", Undo(new_operation()))
    for call in (provider.restore_snapshot, provider.delete_snapshot):
        with pytest.raises(NotFoundError):
            call(nobody, "first")


def test_a_vm_is_deleted_with_its_snapshots(ims_target: Target, ims_bench: Bench) -> None:
    """12. delete removes a VM with everything that was made for it, its snapshots among that."""
    provider = _provider(ims_target)
    before = everything(ims_target)
    order = ims_bench.created()
    for name in ("first", "second"):
        _take(provider, order.uuid, name)
    provider.restore_snapshot(order.uuid, "first")
    ims_target.provider.delete(order.uuid)
    assert not ims_bench.is_there(order.uuid)
    assert everything(ims_target) == before


@pytest.mark.parametrize("recorded", [True, False])
def test_a_crash_at_the_announcement_of_a_snapshot_leaves_nothing(
    ims_target: Target, ims_bench: Bench, recorded: bool
) -> None:
    """22. It is announced first: whoever discards what was announced leaves nothing of it."""
    provider = _provider(ims_target)
    order = ims_bench.created()
    seen, before = ims_bench.look(order.uuid, evidence=True), everything(ims_target)
    undo = CrashingUndo(new_operation(), recorded=recorded)
    with pytest.raises(Crash):
        provider.take_snapshot(order.uuid, "first", undo)
    ims_bench.roll_back(undo)
    assert not provider.list_snapshots(order.uuid)
    assert everything(ims_target) == before
    assert ims_bench.look(order.uuid, evidence=True) == seen


def test_a_snapshot_is_announced_and_discarded_by_its_own_operation_only(
    ims_target: Target, ims_bench: Bench
) -> None:
    """9. discard removes only what carries that operation's id, and is idempotent."""
    provider = _provider(ims_target)
    order = ims_bench.created()
    seen, before = ims_bench.look(order.uuid, evidence=True), everything(ims_target)
    undo = Undo(new_operation())
    provider.take_snapshot(order.uuid, "first", undo)
    announced = Resource("snapshot", f"{order.uuid}/first/{undo.operation}", undo.operation)
    assert undo.announced == [announced]
    found, discard = provider.list_snapshots(order.uuid), ims_target.provider.discard
    other = new_operation()
    for operation in (other, ""):
        assert discard(replace(announced, operation=operation)) is Discarded.NOT_OURS
    namesake = f"{order.uuid}/first/{other}"
    assert discard(Resource("snapshot", namesake, other)) is not Discarded.REMOVED
    assert provider.list_snapshots(order.uuid) == found
    assert discard(announced) is Discarded.REMOVED
    assert discard(announced) is Discarded.ABSENT
    _no_layer_is_left(ims_target, before)
    assert ims_bench.look(order.uuid, evidence=True) == seen


def _no_layer_is_left(target: Target, before: set[str]) -> None:
    """Two layers are merged into either of them: a disk may have another name than before."""
    assert len(everything(target)) == len(before)


def _provider(target: Target) -> Snapshots:
    if not isinstance(target.provider, Snapshots):
        pytest.skip("snapshots: the provider takes none")
    return target.provider


def _take(provider: Snapshots, vm: str, name: str) -> Snapshot:
    provider.take_snapshot(vm, name, Undo(operation := new_operation()))
    [found] = [each for each in provider.list_snapshots(vm) if each.name == name]
    assert found.operation == operation
    return found


def _current(provider: Snapshots, vm: str) -> list[str]:
    return [each.name for each in provider.list_snapshots(vm) if each.current]


def _refused(provider: Snapshots, vm: str) -> None:
    with pytest.raises(ConflictError) as caught:
        provider.restore_snapshot(vm, "first")
    assert caught.value.code == "vm-running"
