"""Keeping what a VM is at some time, and putting it back to that."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ims_core.errors import ConflictError, NotFoundError
from ims_core.models import Resource, State
from ims_core.spi import Discarded, Pause, Snapshots, Suspend
from ims_core.testing.bench import Crash, CrashingUndo, changes, everything, new_operation
from ims_core.testing.needs import declared, needs_start
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
    "test_a_snapshot_is_discarded_when_its_vm_is_gone",
    "test_a_snapshot_is_listed_as_what_it_is",
    "test_a_snapshot_of_a_running_vm_is_deleted_while_it_runs",
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
CLOCK_SKEW = 60.0


def test_a_snapshot_is_listed_as_what_it_is(ims_target: Target, ims_bench: Bench) -> None:
    """22. A snapshot of a VM that is off holds no memory, and leaves the VM as it was.

    Mend: in `take_snapshot`, keep the name and `undo.operation` with the snapshot. In
    `list_snapshots`, give these back, `taken` in seconds since 1970, `memory` False, and `current`
    True for the one taken last. Leave the VM's mark and state.
    """
    provider = declared(ims_target, Snapshots)
    order = ims_bench.created()
    seen = ims_bench.look(order.uuid, evidence=True)
    assert not provider.list_snapshots(order.uuid), (
        "list_snapshots shows one where none was taken to its end"
    )
    operation = _take(provider, order.uuid, "first").operation
    found, *others = provider.list_snapshots(order.uuid)
    assert not others, f"list_snapshots shows more than the one that was taken: {others}"
    assert (found.name, found.operation, found.memory) == ("first", operation, False), (
        "list_snapshots shows another name, operation or memory"
    )
    assert found.current, "list_snapshots does not show the one taken last as current"
    assert abs(found.taken - time.time()) < CLOCK_SKEW, (
        f"taken is {found.taken}, which is not now in seconds since 1970"
    )
    assert ims_bench.look(order.uuid, evidence=True) == seen, "the VM is not as it was before"
    if ims_target.settings is not None:
        with type(ims_target.provider).open(ims_target.settings) as second:
            assert isinstance(second, Snapshots)
            assert second.list_snapshots(order.uuid) == [found], (
                "another connection does not list the snapshot"
            )


def test_what_was_running_keeps_running_when_a_snapshot_is_taken(
    ims_target: Target, ims_bench: Bench
) -> None:
    """22. A snapshot holds the memory of a VM that runs; its state is as it was afterwards.

    Mend: in `take_snapshot`, save the memory of a VM that is running, paused or suspended, and
    bring it back to the state that it had, without a new start. Leave its mark. In
    `list_snapshots`, say `memory=True` for it.
    """
    provider = declared(ims_target, Snapshots)
    order = ims_bench.settled()
    _take(provider, order.uuid, "running")
    assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"
    if isinstance(ims_target.provider, Pause):
        ims_target.provider.pause(order.uuid)
        _take(provider, order.uuid, "paused")
        assert ims_bench.look(order.uuid).state is State.PAUSED, "the VM is not shown as paused"
    if isinstance(ims_target.provider, Suspend):
        ims_target.provider.suspend(order.uuid)
        _take(provider, order.uuid, "suspended")
        assert ims_bench.look(order.uuid).state is State.SUSPENDED, (
            "the VM is not shown as suspended"
        )
    assert ims_bench.mark(order.uuid) == order.mark, "the mark has changed"
    assert all(each.memory for each in provider.list_snapshots(order.uuid)), (
        "list_snapshots shows one without memory"
    )


def test_a_vm_that_is_off_goes_back_to_what_it_was_told_then(
    ims_target: Target, ims_bench: Bench
) -> None:
    """22. Digest and nonce of the mark are those of that time, the rest is as it is now.

    Mend: in `take_snapshot`, keep the mark, and whether the VM had been started. In
    `restore_snapshot`, read the present mark first, put the VM back, and write this mark with the
    `digest` and `nonce` of the snapshot.
    """
    provider = declared(ims_target, Snapshots)
    order = ims_bench.created(starts=True)
    then = order.mark
    _take(provider, order.uuid, "defined")
    second = ims_bench.delivery(order.spec, changed="yes")
    if ims_target.expect_start:
        ims_target.provider.start(order.uuid, second)
        ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
        assert ims_bench.look(order.uuid).state is State.STOPPED, "the VM is not shown as stopped"
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
    assert ims_bench.mark(order.uuid) == replace(now, digest=then.digest, nonce=then.nonce), (
        "the mark is not the present one with the digest and the nonce of the snapshot"
    )
    assert ims_bench.look(order.uuid).state is State.DEFINED, "the VM is not shown as defined"
    if ims_target.expect_start:
        provider.restore_snapshot(order.uuid, "stopped")
        assert ims_bench.look(order.uuid).state is State.STOPPED, "the VM is not shown as stopped"
        assert ims_bench.mark(order.uuid) == now, (
            "the mark is not the present one with the digest and the nonce of the snapshot"
        )


def test_a_vm_that_was_put_back_starts_with_the_delivery_of_then(
    ims_target: Target, ims_bench: Bench
) -> None:
    """22. The delivery is that of that time: a start that brings none has the guest read it.

    Mend: in `take_snapshot`, keep a copy of the delivery, medium or values. In `restore_snapshot`,
    put it back in place along with the disks.
    """
    provider = declared(ims_target, Snapshots)
    order = ims_bench.created(starts=True)
    _take(provider, order.uuid, "first")
    second = ims_bench.delivery(order.spec, changed="yes")
    needs_start(ims_target)
    ims_target.provider.start(order.uuid, second)
    ims_bench.answered(order, second.nonce)
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    provider.restore_snapshot(order.uuid, "first")
    ims_target.provider.start(order.uuid, None)
    receipt = ims_bench.answered(order, order.delivery.nonce).receipt
    assert receipt is not None
    assert receipt.digest == order.delivery.digest, (
        "the guest did not read the delivery of the snapshot"
    )


def test_a_running_vm_is_not_put_back(ims_target: Target, ims_bench: Bench) -> None:
    """22. restore_snapshot is for a VM that neither runs nor is paused; else ConflictError.

    Mend: in `restore_snapshot`, look at the VM's state first, and if it runs, raise `ConflictError`
    with the code `vm-running` before you change anything.
    """
    provider = declared(ims_target, Snapshots)
    order = ims_bench.started()
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    _take(provider, order.uuid, "first")
    ims_target.provider.start(order.uuid, None)
    _refused(provider, order.uuid)
    assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"


def test_a_paused_vm_is_not_put_back(ims_target: Target, ims_bench: Bench) -> None:
    """22. restore_snapshot is not for a VM that is paused; it stays so.

    Mend: in `restore_snapshot`, treat a paused VM like a running one: raise `ConflictError` with
    the code `vm-running` before you change anything.
    """
    provider = declared(ims_target, Snapshots)
    pausing = declared(ims_target, Pause)
    order = ims_bench.created(starts=True)
    needs_start(ims_target)
    _take(provider, order.uuid, "first")
    ims_target.provider.start(order.uuid, order.delivery)
    pausing.pause(order.uuid)
    _refused(provider, order.uuid)
    assert ims_bench.look(order.uuid).state is State.PAUSED, "the VM is not shown as paused"


def test_a_snapshot_with_memory_comes_back_suspended_and_goes_on(
    ims_target: Target, ims_bench: Bench
) -> None:
    """22. A snapshot with memory leaves the VM SUSPENDED, and resume goes on from there.

    Mend: in `restore_snapshot`, put a copy of the snapshot's memory where `resume` looks for it,
    leave the VM off as `SUSPENDED`, and put the receipt of that time back. The snapshot keeps its
    own copy, so that it can be restored again.
    """
    provider = declared(ims_target, Snapshots)
    suspending = declared(ims_target, Suspend)
    order = ims_bench.settled()
    answer = ims_bench.answered(order, order.delivery.nonce).receipt if ims_target.boots else None
    _take(provider, order.uuid, "running")
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    for _ in range(2):  # a snapshot is not used up
        provider.restore_snapshot(order.uuid, "running")
        assert ims_bench.look(order.uuid).state is State.SUSPENDED, (
            "the VM is not shown as suspended"
        )
        suspending.resume(order.uuid)
        vm = ims_bench.look(order.uuid, evidence=True)
        assert (vm.state, vm.mark) == (State.RUNNING, order.mark), (
            "after resume it does not run, or its mark has changed"
        )
        if ims_target.boots:
            assert vm.receipt == answer, "its receipt is not the one of before"
        ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)


def test_restoring_gives_saved_memory_up(ims_target: Target, ims_bench: Bench) -> None:
    """22. What the VM is when it is restored, saved memory included, is given up.

    Mend: in `restore_snapshot`, if the snapshot holds no memory, remove what `suspend` has saved of
    the VM, so that it is `STOPPED` afterwards.
    """
    provider = declared(ims_target, Snapshots)
    suspending = declared(ims_target, Suspend)
    order = ims_bench.settled()
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    _take(provider, order.uuid, "off")
    before = everything(ims_target)
    ims_target.provider.start(order.uuid, None)
    if not ims_target.suspends_at_once:
        ims_bench.answered(order, order.delivery.nonce)
    suspending.suspend(order.uuid)
    provider.restore_snapshot(order.uuid, "off")
    assert ims_bench.look(order.uuid).state is State.STOPPED, "the VM is not shown as stopped"
    assert everything(ims_target) == before, changes(ims_target, before)


def test_a_snapshots_name_is_unique_for_its_vm(ims_target: Target, ims_bench: Bench) -> None:
    """22. Names are unique for each VM: one that is taken is ConflictError, and stays.

    Mend: in `take_snapshot`, look for the name among the snapshots of this VM only, before you make
    anything, and raise `ConflictError` with the code `snapshot-exists`. In `discard`, leave the
    snapshot of another operation.
    """
    provider = declared(ims_target, Snapshots)
    order, other = ims_bench.created(), ims_bench.created()
    _take(provider, order.uuid, "first")
    found, before = provider.list_snapshots(order.uuid), everything(ims_target)
    undo = Undo(new_operation())
    with pytest.raises(ConflictError) as caught:
        provider.take_snapshot(order.uuid, "first", undo)
    assert caught.value.code == "snapshot-exists", f"the error's code is {caught.value.code!r}"
    undo.roll_back(ims_target.provider, expired=lambda: False)
    assert provider.list_snapshots(order.uuid) == found, (
        "list_snapshots shows something else than before"
    )
    assert everything(ims_target) == before, changes(ims_target, before)
    _take(provider, other.uuid, "first")


def test_the_current_snapshot_is_the_one_that_was_taken_or_restored_last(
    ims_target: Target, ims_bench: Bench
) -> None:
    """22. Looking: what the VM is now descends directly from one snapshot at most.

    Mend: in `list_snapshots`, say `current=True` for the one that was taken or restored last, and
    for no other. Let `delete_snapshot` of another one not change that.
    """
    provider = declared(ims_target, Snapshots)
    order = ims_bench.created()
    for name in ("first", "second"):
        _take(provider, order.uuid, name)
        assert _current(provider, order.uuid) == [name], (
            f"list_snapshots does not show just `{name}` as current"
        )
    provider.restore_snapshot(order.uuid, "first")
    assert _current(provider, order.uuid) == ["first"], (
        "list_snapshots does not show just `first` as current"
    )
    provider.delete_snapshot(order.uuid, "second")
    assert _current(provider, order.uuid) == ["first"], (
        "list_snapshots does not show just `first` as current"
    )


def test_deleting_a_snapshot_leaves_the_vm_as_it_is(ims_target: Target, ims_bench: Bench) -> None:
    """22. delete_snapshot changes nothing of the VM as it is now, nor of other snapshots.

    Mend: in `delete_snapshot`, remove this one and all that was kept for it. Where the disks of the
    VM or of another snapshot build on its data, merge it into them first.
    """
    provider = declared(ims_target, Snapshots)
    order = ims_bench.created()
    before = everything(ims_target)
    for name in ("first", "second", "third"):
        _take(provider, order.uuid, name)
    seen = ims_bench.look(order.uuid, evidence=True)
    provider.delete_snapshot(order.uuid, "second")
    assert ims_bench.look(order.uuid, evidence=True) == seen, "the VM is not as it was before"
    assert {each.name for each in provider.list_snapshots(order.uuid)} == {"first", "third"}, (
        "list_snapshots does not show just the two others"
    )
    provider.restore_snapshot(order.uuid, "third")
    for name in ("first", "third"):
        provider.delete_snapshot(order.uuid, name)
    assert ims_bench.look(order.uuid, evidence=True) == seen, "the VM is not as it was before"
    _no_layer_is_left(ims_target, before)
    if ims_target.expect_start:
        ims_target.provider.start(order.uuid, order.delivery)
        assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"


def test_a_snapshot_of_a_running_vm_is_deleted_while_it_runs(
    ims_target: Target, ims_bench: Bench
) -> None:
    """22. delete_snapshot changes nothing of the VM as it is now, its state included.

    Mend: in `delete_snapshot`, remove the snapshot of a running VM without stopping it and without
    putting it back. If the hypervisor cannot, raise `ConflictError` before anything is changed.
    """
    provider = declared(ims_target, Snapshots)
    order = ims_bench.settled()
    before = everything(ims_target)
    _take(provider, order.uuid, "first")
    used = ims_bench.cpu_seconds(order)
    try:
        provider.delete_snapshot(order.uuid, "first")
    except ConflictError:
        assert len(provider.list_snapshots(order.uuid)) == 1, "the snapshot has gone nevertheless"
    else:
        _no_layer_is_left(ims_target, before)
    assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"
    assert ims_bench.cpu_seconds(order) >= used, "the guest was started anew"


def test_a_snapshot_is_discarded_when_its_vm_is_gone(ims_target: Target, ims_bench: Bench) -> None:
    """9. discard removes an announced resource if it is there; 12. it went with its VM.

    Mend: in `discard`, return `ABSENT` for the snapshot of a VM that does not exist.
    """
    provider = declared(ims_target, Snapshots)
    order = ims_bench.created()
    undo = Undo(new_operation())
    provider.take_snapshot(order.uuid, "first", undo)
    ims_target.provider.delete(order.uuid)
    (announced,) = undo.announced
    assert ims_target.provider.discard(announced) is Discarded.ABSENT, (
        "discard found the snapshot of a VM that is gone"
    )


def test_a_snapshot_that_is_not_there_is_not_found(ims_target: Target, ims_bench: Bench) -> None:
    """22. A snapshot that is not there is NotFoundError.

    Mend: in `restore_snapshot` and `delete_snapshot`, look for the name among the snapshots of this
    VM only, and raise `NotFoundError` with the code `snapshot-not-found` if it is not there.
    """
    provider = declared(ims_target, Snapshots)
    order, other = ims_bench.created(), ims_bench.created()
    _take(provider, other.uuid, "first")
    if ims_target.expect_start and isinstance(ims_target.provider, Suspend):
        order = ims_bench.settled()
        ims_target.provider.suspend(order.uuid)
    seen, before = ims_bench.look(order.uuid), everything(ims_target)
    for call in (provider.restore_snapshot, provider.delete_snapshot):
        with pytest.raises(NotFoundError) as caught:
            call(order.uuid, "first")
        assert caught.value.code == "snapshot-not-found", (
            f"the error's code is {caught.value.code!r}"
        )
    assert ims_bench.look(order.uuid) == seen, "the VM is not as it was before"
    assert everything(ims_target) == before, changes(ims_target, before)


def test_a_vm_that_is_not_there_has_no_snapshots(ims_target: Target) -> None:
    """17. Where a VM must exist and does not, NotFoundError is raised.

    Mend: in `list_snapshots`, `take_snapshot`, `restore_snapshot` and `delete_snapshot`, look the
    VM up by its UUID first, and raise `NotFoundError` if it is not there.
    """
    provider, nobody = declared(ims_target, Snapshots), str(uuid4())
    with pytest.raises(NotFoundError):
        provider.list_snapshots(nobody)
    with pytest.raises(NotFoundError):
        provider.take_snapshot(nobody, "first", Undo(new_operation()))
    for call in (provider.restore_snapshot, provider.delete_snapshot):
        with pytest.raises(NotFoundError):
            call(nobody, "first")


def test_a_vm_is_deleted_with_its_snapshots(ims_target: Target, ims_bench: Bench) -> None:
    """12. delete removes a VM with everything that was made for it, its snapshots among that.

    Mend: in `delete`, remove all snapshots of the VM, with the copies of its delivery and memory,
    before its disks and its mark.
    """
    provider = declared(ims_target, Snapshots)
    before = everything(ims_target)
    order = ims_bench.created()
    for name in ("first", "second"):
        _take(provider, order.uuid, name)
    provider.restore_snapshot(order.uuid, "first")
    ims_target.provider.delete(order.uuid)
    assert not ims_bench.is_there(order.uuid), "inspect still shows the VM"
    assert everything(ims_target) == before, changes(ims_target, before)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_crash_at_the_announcement_of_a_snapshot_leaves_nothing(
    ims_target: Target, ims_bench: Bench, recorded: bool
) -> None:
    """22. It is announced first: whoever discards what was announced leaves nothing of it.

    Mend: in `take_snapshot`, call `undo.announce` before the first request that makes or changes
    anything. In `discard`, return `ABSENT` if there is no such snapshot.
    """
    provider = declared(ims_target, Snapshots)
    order = ims_bench.created()
    seen, before = ims_bench.look(order.uuid, evidence=True), everything(ims_target)
    undo = CrashingUndo(new_operation(), recorded=recorded)
    with pytest.raises(Crash):
        provider.take_snapshot(order.uuid, "first", undo)
    ims_bench.roll_back(undo)
    assert not provider.list_snapshots(order.uuid), (
        "list_snapshots shows one where none was taken to its end"
    )
    assert everything(ims_target) == before, changes(ims_target, before)
    assert ims_bench.look(order.uuid, evidence=True) == seen, "the VM is not as it was before"


def test_a_snapshot_is_announced_and_discarded_by_its_own_operation_only(
    ims_target: Target, ims_bench: Bench
) -> None:
    """9. discard removes only what carries that operation's id, and is idempotent.

    Mend: in `take_snapshot`, announce once: the kind `snapshot` and the name `<UUID of the
    VM>/<snapshot>/<operation id>`. Keep the operation id with the snapshot, and in `discard`,
    return `NOT_OURS` if `resource.operation` is another, `ABSENT` if there is no snapshot.
    """
    provider = declared(ims_target, Snapshots)
    order = ims_bench.created()
    seen, before = ims_bench.look(order.uuid, evidence=True), everything(ims_target)
    undo = Undo(new_operation())
    provider.take_snapshot(order.uuid, "first", undo)
    announced = Resource("snapshot", f"{order.uuid}/first/{undo.operation}", undo.operation)
    assert undo.announced == [announced], f"announced was {undo.announced}"
    found, discard = provider.list_snapshots(order.uuid), ims_target.provider.discard
    other = new_operation()
    for operation in (other, ""):
        assert discard(replace(announced, operation=operation)) is Discarded.NOT_OURS, (
            f"discard for the operation {operation!r} did not leave another one's snapshot"
        )
    namesake = f"{order.uuid}/first/{other}"
    assert discard(Resource("snapshot", namesake, other)) is not Discarded.REMOVED, (
        "discard removed the snapshot of another operation"
    )
    assert provider.list_snapshots(order.uuid) == found, (
        "list_snapshots shows something else than before"
    )
    assert discard(announced) is Discarded.REMOVED, "discard did not remove the snapshot"
    assert discard(announced) is Discarded.ABSENT, "the second discard did not find it gone"
    _no_layer_is_left(ims_target, before)
    assert ims_bench.look(order.uuid, evidence=True) == seen, "the VM is not as it was before"


def _no_layer_is_left(target: Target, before: set[str]) -> None:
    """Two layers are merged into either of them: a disk may have another name than before."""
    assert len(everything(target)) == len(before), changes(target, before)


def _take(provider: Snapshots, vm: str, name: str) -> Snapshot:
    provider.take_snapshot(vm, name, Undo(operation := new_operation()))
    listed = [each for each in provider.list_snapshots(vm) if each.name == name]
    assert len(listed) == 1, f"list_snapshots shows the new one {len(listed)} times, not once"
    found = listed[0]
    assert found.operation == operation, "list_snapshots does not show the operation that took it"
    return found


def _current(provider: Snapshots, vm: str) -> list[str]:
    return [each.name for each in provider.list_snapshots(vm) if each.current]


def _refused(provider: Snapshots, vm: str) -> None:
    with pytest.raises(ConflictError) as caught:
        provider.restore_snapshot(vm, "first")
    assert caught.value.code == "vm-running", f"the error's code is {caught.value.code!r}"
