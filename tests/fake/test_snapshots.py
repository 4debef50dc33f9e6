"""Snapshots and pausing through the service, in good order and cut short."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_core import (
    CancelledError,
    CapacityError,
    ConflictError,
    HypervisorError,
    Ims,
    InvalidError,
    NotFoundError,
    NotOursError,
    Snapshot,
    State,
    UnsupportedError,
)
from ims_core.store import Outcome
from ims_fake import FakeProvider
from tests.fake.pools import add_foreign, contents
from tests.fake.test_power import steps
from tests.fake.test_recovery import killed, last

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core import VM, Event, Mark

    Connect = Callable[..., Ims]

MEMORY = 64 << 20


def mark_of(vm: VM) -> Mark:
    assert vm.mark is not None
    return vm.mark


def volume(pool: Path, uuid: str) -> Path:
    description = json.loads((pool / "domains" / f"{uuid}.json").read_text())
    return pool / "volumes" / str(description["volume"])


def kept(pool: Path) -> list[str]:
    return [path.name for path in (pool / "snapshots").iterdir()]


def names(found: list[Snapshot]) -> list[str]:
    return [each.name for each in found]


def test_a_vm_goes_back_to_its_disk_and_to_what_it_was_told(connect: Connect, pool: Path) -> None:
    ims = connect()
    vm = ims.create_vm("web01", wait="ready")
    ims.stop_vm("web01")
    disk = volume(pool, vm.uuid)
    with disk.open("r+b") as file:
        file.write(b"first")
    taken = ims.snapshot_vm("web01", "first")
    assert steps(ims) == ["snapshot"]
    assert taken.operation == ims.list_operations()[-1].id
    assert not taken.memory
    with disk.open("r+b") as file:
        file.write(b"later")
    told = ims.start_vm("web01", wait="ready")
    ims.stop_vm("web01")
    assert mark_of(told).nonce != mark_of(vm).nonce
    again = ims.restore_snapshot("web01", "first")
    assert (again.state, again.pool) == (State.STOPPED, "fake")
    assert disk.read_bytes()[:5] == b"first"
    assert mark_of(again) == mark_of(vm)
    assert [mark_of(each) for each in ims.list_vms()] == [mark_of(vm)]
    assert ims.show_vm("web01").receipt == vm.receipt
    kinds = [each.kind for each in ims.list_operations()]
    assert kinds[-3:] == ["start-vm", "stop-vm", "restore-snapshot"]
    ims.start_vm("web01", wait="ready")


def test_what_was_set_since_is_pending_after_a_vm_was_put_back(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", wait="ready")
    ims.snapshot_vm("web01", "first")
    change = {"role": "db"}
    ims.update_context("web01", lambda context: replace(context, properties=change))
    assert not ims.show_vm("web01").context_pending
    ims.stop_vm("web01")
    ims.restore_snapshot("web01", "first")
    assert ims.show_vm("web01").context_pending
    assert ims.resume_vm("web01", wait="address").state is State.RUNNING
    assert ims.show_vm("web01").context_pending
    assert not ims.reboot_vm("web01", wait="ready").context_pending


def test_a_snapshot_of_a_running_vm_brings_it_back_suspended(connect: Connect, pool: Path) -> None:
    ims = connect()
    vm = ims.create_vm("web01", memory=MEMORY, wait="ready")
    assert ims.snapshot_vm("web01", "running").memory
    assert ims.show_vm("web01").state is State.RUNNING
    with pytest.raises(ConflictError) as caught:
        ims.restore_snapshot("web01", "running")
    assert caught.value.code == "vm-running"
    assert "ims stop-vm web01" in caught.value.hint
    assert last(ims) is Outcome.FAILED
    ims.stop_vm("web01", force=True)
    assert ims.restore_snapshot("web01", "running").state is State.SUSPENDED
    assert [path.name for path in (pool / "memory").iterdir()] == [vm.uuid]
    ims.resume_vm("web01")
    again = ims.show_vm("web01")
    assert (again.state, again.receipt) == (State.RUNNING, vm.receipt)


def test_snapshots_are_listed_by_their_time_and_go_with_their_vm(
    connect: Connect, pool: Path
) -> None:
    ims = connect()
    before = contents(pool)
    ims.create_vm("web01", wait="defined")
    for name in ("zebra", "ape"):
        ims.snapshot_vm("web01", name)
    assert names(ims.list_snapshots("web01")) == ["zebra", "ape"]
    ims.delete_vm("web01")
    assert contents(pool) == before


def test_a_snapshot_without_a_name_is_given_one_of_the_time(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01")
    taken = ims.snapshot_vm("web01")
    assert taken.name.startswith("snap-20")
    assert names(ims.list_snapshots("web01")) == [taken.name]


def test_a_deleted_snapshot_leaves_the_vm_and_the_others(connect: Connect, pool: Path) -> None:
    ims = connect()
    ims.create_vm("web01")
    for name in ("first", "second", "third"):
        ims.snapshot_vm("web01", name)
    seen = ims.show_vm("web01")
    ims.delete_snapshot("web01", "third")
    assert steps(ims) == ["delete"]
    [first, second] = ims.list_snapshots("web01")
    assert (first.current, second.current) == (False, True)
    ims.delete_snapshot("web01", "first")
    ims.delete_snapshot("web01", "second")
    assert not kept(pool)
    assert ims.show_vm("web01") == seen


@pytest.mark.parametrize("name", ["../x", "a b", "-x", "x" * 64])
def test_a_name_that_is_none_is_refused(connect: Connect, pool: Path, name: str) -> None:
    ims = connect()
    ims.create_vm("web01")
    with pytest.raises(InvalidError) as caught:
        ims.snapshot_vm("web01", name)
    assert caught.value.code == "invalid-name"
    assert not kept(pool)


def test_a_name_that_is_taken_is_refused_and_the_first_stays(connect: Connect, pool: Path) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    first, before = ims.snapshot_vm("web01", "first"), contents(pool)
    with pytest.raises(ConflictError) as caught:
        ims.snapshot_vm("web01", "first")
    assert caught.value.code == "snapshot-exists"
    assert last(ims) is Outcome.FAILED
    assert ims.list_snapshots("web01") == [first]
    assert contents(pool) == before


def test_a_snapshot_that_is_not_there_is_not_found(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    for verb in (ims.restore_snapshot, ims.delete_snapshot):
        with pytest.raises(NotFoundError) as caught:
            verb("web01", "nope")
        assert caught.value.code == "snapshot-not-found"
        assert "ims list-snapshots web01" in caught.value.hint


def test_a_full_pool_takes_no_snapshot_and_stays_as_it_was(connect: Connect, pool: Path) -> None:
    ims = connect(capacity=MEMORY)
    ims.create_vm("web01", memory=MEMORY)
    before = contents(pool)
    with pytest.raises(CapacityError, match="the pool has"):
        ims.snapshot_vm("web01", "first")
    assert contents(pool) == before
    assert last(ims) is Outcome.FAILED


def test_a_snapshot_that_fails_leaves_nothing_and_what_it_must_leave_is_named(
    connect: Connect, pool: Path
) -> None:
    vm = connect().create_vm("web01", wait="defined")
    before = contents(pool)
    ims = connect(fail=["snapshot"])
    with pytest.raises(HypervisorError):
        ims.snapshot_vm("web01", "first")
    assert contents(pool) == before
    assert last(ims) is Outcome.FAILED
    ims = connect(fail=["snapshot", "discard.snapshot"])
    with pytest.raises(HypervisorError) as caught:
        ims.snapshot_vm("web01", "first")
    [line] = caught.value.details
    assert line.startswith(f"left behind: snapshot {vm.uuid}/first/{caught.value.operation}")
    assert last(ims) is Outcome.UNFINISHED
    ims = connect()
    ims.list_vms()
    assert contents(pool) == before
    assert last(ims) is Outcome.FAILED
    assert ims.show_context("web01").vm == "web01", "what the VM is to be told was forgotten"


@pytest.mark.parametrize("step", ["restore-snapshot", "delete-snapshot"])
def test_what_fails_can_be_repeated_and_what_is_busy_is_asked_again(
    connect: Connect, step: str
) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    ims.snapshot_vm("web01", "first")
    verb = step.replace("-", "_")
    with pytest.raises(HypervisorError):
        getattr(connect(fail=[step]), verb)("web01", "first")
    assert names(connect().list_snapshots("web01")) == ["first"]
    getattr(connect(busy=[step]), verb)("web01", "first")


def test_a_cancelled_snapshot_is_not_taken(connect: Connect, pool: Path) -> None:
    connect().create_vm("web01")

    def cancel(_event: Event) -> None:
        raise CancelledError("enough")

    ims = connect(progress=cancel)
    with pytest.raises(CancelledError):
        ims.snapshot_vm("web01", "first")
    assert not kept(pool)


def test_foreign_missing_and_unfinished_vms_are_refused(
    connect: Connect, pool: Path, own_state: Path
) -> None:
    add_foreign(pool, "theirs")
    ims = connect()
    ims.create_vm("half", wait="defined")
    [vm] = ims.list_vms()
    mark = replace(mark_of(vm), complete=False)
    ims.session().provider.write_mark(vm.uuid, mark)
    before = contents(pool)
    verbs: tuple[Callable[[str], object], ...] = (
        ims.snapshot_vm,
        ims.pause_vm,
        lambda name: ims.restore_snapshot(name, "first"),
        lambda name: ims.delete_snapshot(name, "first"),
    )
    for verb in (*verbs, ims.list_snapshots):
        with pytest.raises(NotOursError):
            verb("theirs")
        with pytest.raises(NotFoundError):
            verb("nope")
    for verb in verbs:
        with pytest.raises(ConflictError) as caught:
            verb("half")
        assert caught.value.code == "vm-busy"
    assert contents(pool) == before


@pytest.mark.parametrize(
    ("verb", "feature"),
    [
        ("snapshot_vm('web01')", "snapshots"),
        ("list_snapshots('web01')", "snapshots"),
        ("restore_snapshot('web01', 'a')", "snapshots"),
        ("delete_snapshot('web01', 'a')", "snapshots"),
        ("pause_vm('web01')", "pause"),
        ("clone_vm('web01')", "clone"),
    ],
)
def test_a_provider_that_lacks_a_feature_says_so(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, verb: str, feature: str
) -> None:
    without = dict.fromkeys(("take_snapshot", "pause", "clone"))
    lacking = type("Lacking", (FakeProvider,), without)
    monkeypatch.setattr("ims_core.service.session.provider_class", lambda _name: lacking)
    ims = connect()
    ims.create_vm("web01")
    with pytest.raises(UnsupportedError, match=f"no feature '{feature}'"):
        eval(f"ims.{verb}", {"ims": ims})  # noqa: S307 - one of the lines above
    assert [each.kind for each in ims.list_operations()] == ["create-vm"]


# --- cut short ---


def test_a_snapshot_that_was_killed_is_kept_if_it_is_whole(connect: Connect, pool: Path) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    before = contents(pool)
    killed("snapshot_vm('web01', 'first')", "provider", "take_snapshot", after=True)
    assert names(ims.list_snapshots("web01")) == ["first"]
    assert last(ims) is Outcome.DONE
    ims.delete_snapshot("web01", "first")
    assert contents(pool) == before


def test_a_snapshot_that_was_killed_before_it_is_whole_is_removed(
    connect: Connect, pool: Path
) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    before = contents(pool)
    killed("snapshot_vm('web01', 'first')", "pace", "step")
    assert kept(pool)
    ims.list_vms()
    assert contents(pool) == before
    assert last(ims) is Outcome.FAILED
    assert ims.show_context("web01").vm == "web01", "what the VM is to be told was forgotten"


@pytest.mark.parametrize("point", ["before", "within", "after"])
def test_a_restore_that_was_killed_is_carried_on(connect: Connect, pool: Path, point: str) -> None:
    ims = connect()
    vm = ims.create_vm("web01", wait="ready")
    ims.stop_vm("web01")
    ims.snapshot_vm("web01", "first")
    ims.start_vm("web01")
    ims.stop_vm("web01")
    disk = volume(pool, vm.uuid)
    with disk.open("r+b") as file:
        file.write(b"later")
    owner, method = ("pace", "step") if point == "within" else ("provider", "restore_snapshot")
    killed("restore_snapshot('web01', 'first')", owner, method, after=point == "after")
    assert [mark_of(each) for each in ims.list_vms()] == [mark_of(vm)]
    assert disk.read_bytes()[:5] == bytes(5)
    assert last(ims) is Outcome.DONE


def test_a_restore_that_was_killed_before_it_began_is_not_said_to_be_done(
    connect: Connect,
) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    ims.snapshot_vm("web01", "first")
    killed("restore_snapshot('web01', 'first')", "store", "aim")
    ims.list_vms()
    assert last(ims) is Outcome.FAILED


@pytest.mark.parametrize("verb", ["restore_snapshot", "delete_snapshot"])
def test_a_namesake_is_not_taken_for_the_snapshot_that_was_meant(
    connect: Connect, pool: Path, verb: str
) -> None:
    ims = connect()
    vm = ims.create_vm("web01", wait="defined")
    ims.snapshot_vm("web01", "first")
    killed(f"{verb}('web01', 'first')", "provider", verb)
    [path] = (pool / "snapshots").glob("*.json")
    path.write_text(path.read_text().replace(json.loads(path.read_text())["operation"], "f" * 16))
    for each in (pool / "snapshots").iterdir():
        each.rename(each.with_name(f"{vm.uuid}.first-{'f' * 16}{each.suffix}"))
    ims.list_vms()
    assert [each.operation for each in ims.list_snapshots("web01")] == ["f" * 16]
    assert last(ims) is (Outcome.DONE if verb == "delete_snapshot" else Outcome.FAILED)


def test_a_vm_that_somebody_started_after_a_restore_was_killed_is_left_alone(
    connect: Connect, pool: Path
) -> None:
    ims = connect()
    vm = ims.create_vm("web01", wait="defined")
    ims.snapshot_vm("web01", "first")
    killed("restore_snapshot('web01', 'first')", "provider", "restore_snapshot")
    path = pool / "domains" / f"{vm.uuid}.json"
    path.write_text(path.read_text().replace('"state": "defined"', '"state": "running"'))
    assert [each.state for each in ims.list_vms()] == [State.RUNNING]
    assert last(ims) is Outcome.FAILED


def test_recovery_does_not_try_for_ever_what_cannot_be_put_back(
    connect: Connect, pool: Path
) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    ims.snapshot_vm("web01", "first")
    killed("restore_snapshot('web01', 'first')", "provider", "restore_snapshot")
    told: list[Event] = []
    again = connect(progress=told.append, fail=["restore-snapshot"])
    again.list_vms()
    assert any("cannot be put back" in each.message for each in told if each.warning)
    assert last(again) is Outcome.FAILED


@pytest.mark.parametrize("after", [False, True])
def test_a_delete_of_a_snapshot_that_was_killed_is_carried_on(
    connect: Connect, pool: Path, *, after: bool
) -> None:
    ims = connect()
    ims.create_vm("web01")
    before = contents(pool)
    ims.snapshot_vm("web01", "first")
    killed("delete_snapshot('web01', 'first')", "provider", "delete_snapshot", after=after)
    assert ims.list_snapshots("web01") == []
    assert last(ims) is Outcome.DONE
    assert contents(pool) == before


# --- pause ---


def test_a_paused_vm_goes_on_as_the_same_boot(connect: Connect, pool: Path) -> None:
    ims = connect()
    vm = ims.create_vm("web01", wait="ready")
    before = contents(pool)
    for _ in range(2):
        ims.pause_vm("web01")
        assert ims.show_vm("web01").state is State.PAUSED
    assert steps(ims) == ["pause"]
    again = ims.resume_vm("web01", wait="address")
    assert (again.state, again.receipt) == (State.RUNNING, vm.receipt)
    assert contents(pool) == before


def test_only_what_runs_is_paused(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    with pytest.raises(ConflictError) as caught:
        ims.pause_vm("web01")
    assert caught.value.code == "vm-not-running"
    ims.start_vm("web01")
    ims.suspend_vm("web01")
    with pytest.raises(ConflictError) as caught:
        ims.pause_vm("web01")
    assert caught.value.code == "vm-suspended"
    assert last(ims) is Outcome.FAILED


def test_a_pause_that_is_busy_is_asked_for_again_and_one_that_fails_is_not(
    connect: Connect,
) -> None:
    ims = connect()
    ims.create_vm("web01")
    with pytest.raises(HypervisorError):
        connect(fail=["pause"]).pause_vm("web01")
    assert ims.show_vm("web01").state is State.RUNNING
    connect(busy=["pause"]).pause_vm("web01")
    assert ims.show_vm("web01").state is State.PAUSED


@pytest.mark.parametrize("after", [False, True])
def test_a_pause_that_was_killed_is_said_to_be_done_if_it_was(
    connect: Connect, *, after: bool
) -> None:
    ims = connect()
    ims.create_vm("web01")
    killed("pause_vm('web01')", "provider", "pause", after=after)
    reached = State.PAUSED if after else State.RUNNING
    assert ims.show_vm("web01").state is reached
    assert last(ims) is (Outcome.DONE if after else Outcome.FAILED)
