"""Operations outlive what happens to them: failures, repetitions, rivals, and a lost store."""

from __future__ import annotations

import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import pytest

from ims_core import (
    CancelledError,
    ConfigError,
    ConflictError,
    Context,
    HypervisorError,
    Ims,
    ImsError,
    Interface,
)
from ims_core.store import Outcome
from tests.fake.pools import add_foreign, add_network, contents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core import VM, Event
    from ims_core.service.handles import Handle

    Connect = Callable[..., Ims]


def outcomes(ims: Ims) -> dict[str, Outcome]:
    return {f"{each.kind} {each.subject}": each.outcome for each in ims.list_operations()}


def test_an_operation_tells_what_it_made_and_how_it_ended(connect: Connect) -> None:
    ims = connect()
    vm = ims.create_vm("web01")
    assert vm.mark is not None
    shown = ims.show_operation(vm.mark.operation)
    assert (shown.kind, shown.subject, shown.vm) == ("create-vm", "web01", vm.uuid)
    assert shown.outcome is Outcome.DONE
    assert shown.ended is not None
    assert shown.ended >= shown.started
    assert [each.kind for each in shown.resources] == ["volume", "seed", "domain"]
    assert [each.phase for each in shown.steps] == ["create", "start", "complete"]
    ims.stop_vm("web01", force=True)
    ims.delete_vm("web01")
    assert set(outcomes(ims).values()) == {Outcome.DONE}


def test_a_create_that_failed_says_why_and_gives_its_name_back(connect: Connect) -> None:
    card = Interface(addresses=("192.0.2.9",))
    with pytest.raises(HypervisorError) as caught:
        connect(fail=["create.seed"]).create_vm("web01", context=Context(interfaces=(card,)))
    ims = connect()
    ims.create_vm("other", context=Context(interfaces=(card,)))
    shown = ims.show_operation(caught.value.operation)
    assert shown.outcome is Outcome.FAILED
    assert shown.error["code"] == "fault-injected"
    ims.create_vm("web01")


def test_of_two_that_make_one_name_at_once_one_gets_it(connect: Connect) -> None:
    users = [connect(delay=0.05) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(ims.create_vm, "web01") for ims in users]
    errors = [error for each in made if (error := each.exception()) is not None]
    assert [error.code for error in errors if isinstance(error, ConflictError)] == ["vm-exists"] * 3
    assert [vm.name for vm in users[0].list_vms()] == ["web01"]


def test_what_could_not_be_undone_is_undone_by_the_next_verb(connect: Connect, pool: Path) -> None:
    before = contents(pool)
    with pytest.raises(HypervisorError) as caught:
        connect(fail=["start", "discard.volume"]).create_vm("web01")
    assert any("left behind: volume" in line for line in caught.value.details)
    told: list[Event] = []
    ims = connect(progress=told.append)
    assert ims.show_operation(caught.value.operation).outcome is Outcome.UNFINISHED
    assert contents(pool) != before
    assert ims.list_vms() == []
    assert contents(pool) == before
    assert ims.show_operation(caught.value.operation).outcome is Outcome.FAILED
    assert any("was cut short" in event.message for event in told)


def test_a_name_whose_pieces_could_not_be_removed_is_not_given_again(connect: Connect) -> None:
    broken = connect(fail=["start", "discard.volume"])
    with pytest.raises(HypervisorError):
        broken.create_vm("web01")
    with pytest.raises(ConflictError) as caught:
        broken.create_vm("web01")
    assert caught.value.code == "vm-exists"
    assert "recover" in caught.value.hint


def test_pieces_are_kept_for_a_look_when_that_was_asked_for(connect: Connect, pool: Path) -> None:
    before = contents(pool)
    told: list[Event] = []
    ims = connect(fail=["start"], progress=told.append)
    with pytest.raises(HypervisorError) as caught:
        ims.create_vm("web01", keep_on_failure=True)
    operation = caught.value.operation
    assert any(f"ims recover {operation}" in event.message for event in told)
    assert [vm.problem for vm in ims.list_vms()] == ["its create was not finished"]
    assert ims.recover() == []
    assert ims.show_operation(operation).outcome is Outcome.KEPT
    [ended] = ims.recover([operation])
    assert ended.operation.outcome is Outcome.FAILED
    assert contents(pool) == before


def test_dry_run_tells_what_recovery_would_do_and_does_nothing(
    connect: Connect, pool: Path
) -> None:
    broken = connect(fail=["start", "discard.volume"])
    with pytest.raises(HypervisorError):
        broken.create_vm("web01")
    left = contents(pool)
    [told] = connect().recover(dry_run=True)
    assert "volume web01-" in told.message
    assert contents(pool) == left


def test_the_same_request_makes_one_vm_also_at_once(connect: Connect) -> None:
    users = [connect(delay=0.05) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(ims.create_vm, "web01", request_id="r-1") for ims in users]
    assert len({each.result().uuid for each in made}) == 1
    again = users[0].create_vm("web01", request_id="r-1", wait="defined")
    assert again.uuid == made[0].result().uuid
    assert len(users[0].list_vms()) == 1


def test_a_request_for_something_else_is_refused(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", request_id="r-1")
    with pytest.raises(ConflictError) as caught:
        ims.create_vm("web01", request_id="r-1", vcpus=2)
    assert caught.value.code == "request-mismatch"


def test_a_request_that_failed_may_be_repeated_and_one_whose_vm_was_deleted_not(
    connect: Connect,
) -> None:
    with pytest.raises(HypervisorError):
        connect(fail=["start"]).create_vm("web01", request_id="r-1")
    ims = connect()
    ims.create_vm("web01", request_id="r-1")
    assert ims.show_operation("r-1").outcome is Outcome.DONE
    ims.delete_vm("web01")
    with pytest.raises(ConflictError) as caught:
        ims.create_vm("web01", request_id="r-1")
    assert caught.value.code == "request-spent"


def test_submitted_verbs_run_at_once_and_tell_how_far_they_are(connect: Connect) -> None:
    phases: list[Any] = []
    ims = connect(delay=0.02)
    handles = [ims.submit(ims.create_vm, f"web{index}") for index in range(6)]
    assert not wait(handles, timeout=30).not_done
    phases = [each.phase for each in handles]
    assert {vm.name for vm in ims.list_vms()} == {each.result().name for each in handles}
    assert set(phases) == {"done"}


def test_a_handle_that_is_cancelled_leaves_nothing(connect: Connect, pool: Path) -> None:
    before = contents(pool)
    entered = threading.Event()

    def watch(event: Event) -> None:
        if event.phase == "wait":
            entered.set()

    ims = connect(receipts="none", progress=watch)
    handle = ims.submit(ims.create_vm, "web01", wait="ready", timeout=60)
    assert entered.wait(20)
    assert handle.cancel()
    with pytest.raises(CancelledError):
        handle.result(20)
    assert contents(pool) == before
    assert outcomes(ims) == {"create-vm web01": Outcome.FAILED}
    assert not handle.cancel()


def test_an_exception_in_the_block_cancels_what_was_submitted(connect: Connect, pool: Path) -> None:
    before = contents(pool)
    handles: list[Handle[VM]] = []

    def submit_and_fail() -> None:
        with connect(receipts="none") as ims:
            names = ("web01", "web02", "web03")
            handles.extend(
                ims.submit(ims.create_vm, name, wait="ready", timeout=60) for name in names
            )
            raise RuntimeError("of the caller's own")

    with pytest.raises(RuntimeError):
        submit_and_fail()
    assert all(each.done() for each in handles)
    assert contents(pool) == before


def test_two_that_recover_at_once_do_no_harm(connect: Connect, pool: Path) -> None:
    before = contents(pool)
    broken = connect(fail=["start", "discard.volume"])
    for name in ("web01", "web02", "web03"):
        with pytest.raises(HypervisorError):
            broken.create_vm(name)
    users = [connect(delay=0.02) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(ims.recover) for ims in users]:
            each.result()
    assert contents(pool) == before
    assert set(outcomes(users[0]).values()) == {Outcome.FAILED}


def test_an_adopted_vm_is_managed_and_its_disk_stays(connect: Connect, pool: Path) -> None:
    path = add_foreign(pool, "legacy")
    disk = pool / "volumes" / "legacy.img"
    disk.write_bytes(b"precious")
    path.write_text(json.dumps({"name": "legacy", "state": "running", "volume": disk.name}))
    ims = connect()
    assert ims.adopt_vm("legacy").mark is not None
    ims.stop_vm("legacy", force=True)
    ims.start_vm("legacy")
    assert [vm.name for vm in ims.list_vms()] == ["legacy"]
    ims.delete_vm("legacy")
    assert ims.list_vms(include_foreign=True) == []
    assert disk.read_bytes() == b"precious"


def test_a_lost_store_loses_no_vm_and_hands_out_no_address_twice(
    connect: Connect, own_state: Path
) -> None:
    ims = connect()
    add_network(own_state, last=12)
    made = [Ims().create_vm(f"web{index}") for index in range(3)]
    addresses = {
        each.partition("=")[2] for vm in made if vm.mark for each in vm.mark.addresses.split()
    }
    assert addresses == {"192.0.2.8", "192.0.2.9", "192.0.2.10"}
    with Ims(state=own_state / "another") as other:
        assert [finding for finding in other.check(fix=True) if not finding.ok] == []
        assert other.recover() == []
        assert {vm.uuid for vm in other.list_vms()} == {vm.uuid for vm in made}
        fresh = other.create_vm("fresh")
        assert fresh.mark is not None
        assert fresh.mark.addresses == "fake=192.0.2.11"
        other.delete_vm(made[0].name)
        other.adopt_vm(made[1].name)
        other.stop_vm(made[1].name, force=True)
        other.start_vm(made[1].name)
    ims.close()


def test_addresses_of_vms_that_others_removed_are_given_again_when_all_are_taken(
    connect: Connect, own_state: Path, pool: Path
) -> None:
    connect()
    add_network(own_state, last=9)
    with Ims() as ims:
        first = ims.create_vm("web1")
        ims.create_vm("web2")
        with pytest.raises(ImsError) as caught:
            ims.create_vm("web3")
        assert caught.value.code == "address-pool-exhausted"
        (pool / "domains" / f"{first.uuid}.json").unlink()
        third = ims.create_vm("web3")
        assert third.mark is not None
        assert third.mark.addresses == "fake=192.0.2.8"
        [lost] = [each for each in ims.check() if not each.ok]
        assert lost.subject == "VM web1"
        assert all(each.ok for each in ims.check(fix=True))


@pytest.mark.parametrize("damage", ["garbage", "newer", "locked"])
def test_without_a_usable_store_vms_are_still_listed_and_deleted(
    connect: Connect, own_state: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ims = connect()
    ims.create_vm("web01")
    ims.create_vm("web02")
    ims.close()
    path = own_state / "state" / "ims.sqlite"
    holder = None
    if damage == "garbage":
        for each in path.parent.glob("ims.sqlite*"):
            each.unlink()
        path.write_bytes(b"this is no database " * 500)
    elif damage == "newer":
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 999")
    else:
        monkeypatch.setattr("ims_core.store.database._LOCK_SECONDS", 0.1)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
    told: list[Event] = []
    after = connect(progress=told.append)
    assert [vm.name for vm in after.list_vms()] == ["web01", "web02"]
    assert any(event.warning and "without it" in event.message for event in told)
    with pytest.raises(ConfigError) as caught:
        after.create_vm("web03")
    assert caught.value.code == "store-unusable"
    after.delete_vm("web01")
    assert [vm.name for vm in after.list_vms()] == ["web02"]
    if holder is not None:
        holder.close()


def test_what_is_busy_is_asked_for_again_and_what_fails_is_not(connect: Connect) -> None:
    ims = connect(busy=["start", "stop", "delete", "write-mark", "set-addresses"])
    ims.create_vm("web01")
    ims.stop_vm("web01")
    ims.set_addresses("web01", ["192.0.2.9/24"])
    ims.delete_vm("web01")
    assert set(outcomes(ims).values()) == {Outcome.DONE}
