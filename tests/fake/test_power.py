"""Suspend, resume and reboot through the service, in good order and cut short."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_core import (
    CancelledError,
    CapacityError,
    ConflictError,
    Context,
    DeadlineError,
    HypervisorError,
    Ims,
    InvalidError,
    NotFoundError,
    NotOursError,
    State,
    UnavailableError,
    UnsupportedError,
)
from ims_core.service.events import Phase
from ims_core.store import Outcome
from ims_fake import FakeProvider
from tests.fake.pools import add_foreign, contents
from tests.fake.test_recovery import killed, last

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core import Event

    Connect = Callable[..., Ims]

MEMORY = 64 << 20


def nonce(ims: Ims) -> str:
    mark = ims.show_vm("web01").mark
    assert mark is not None
    return mark.nonce


def steps(ims: Ims) -> list[str]:
    newest = ims.list_operations()[-1]
    return [each.phase for each in ims.show_operation(newest.id).steps]


# --- suspend and resume ---


def test_a_vm_that_was_suspended_goes_on_as_the_same_boot(connect: Connect, pool: Path) -> None:
    ims = connect()
    vm = ims.create_vm("web01", memory=MEMORY, wait="ready")
    before = contents(pool)
    ims.suspend_vm("web01")
    assert ims.show_vm("web01").state is State.SUSPENDED
    assert steps(ims) == ["suspend"]
    assert ims.metrics() == []
    again = ims.resume_vm("web01", wait="address")
    assert (again.state, again.pool, again.receipt) == (State.RUNNING, "fake", vm.receipt)
    assert {each.address for each in again.addresses} == {each.address for each in vm.addresses}
    assert contents(pool) == before
    assert [each.kind for each in ims.list_operations()] == ["create-vm", "suspend-vm", "resume-vm"]


def test_suspending_and_resuming_twice_is_no_error(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01")
    for _ in range(2):
        ims.suspend_vm("web01")
    for _ in range(2):
        assert ims.resume_vm("web01").state is State.RUNNING


def test_a_vm_that_other_tools_paused_goes_on(connect: Connect, pool: Path) -> None:
    ims = connect()
    vm = ims.create_vm("web01")
    path = pool / "domains" / f"{vm.uuid}.json"
    path.write_text(path.read_text().replace('"state": "running"', '"state": "paused"'))
    assert ims.show_vm("web01").state is State.PAUSED
    assert ims.resume_vm("web01").state is State.RUNNING


def test_what_is_pending_stays_so_while_a_vm_is_suspended_and_goes_on(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01")
    ims.suspend_vm("web01")
    ims.set_addresses("web01", ["192.0.2.50"])
    change = {"role": "db"}
    updated = ims.update_context("web01", lambda context: replace(context, properties=change))
    assert updated.context_pending, "nobody is there to be told"
    ims.resume_vm("web01")
    assert ims.show_vm("web01").pending == ("192.0.2.50/24",)
    assert ims.reboot_vm("web01", wait="ready").pending == ()
    assert ims.show_vm("web01").pending == ()


def test_nobody_waits_for_an_answer_of_a_guest_that_goes_on(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01")
    ims.suspend_vm("web01")
    with pytest.raises(InvalidError) as caught:
        ims.resume_vm("web01", wait="ready")
    assert caught.value.code == "wait-impossible"
    assert ims.show_vm("web01").state is State.SUSPENDED


def test_a_suspended_vm_is_stopped_by_force_only_and_then_starts(
    connect: Connect, pool: Path
) -> None:
    ims = connect()
    ims.create_vm("web01", memory=MEMORY)
    ims.suspend_vm("web01")
    for verb in (ims.stop_vm, ims.start_vm, ims.reboot_vm):
        with pytest.raises(ConflictError) as caught:
            verb("web01")
        assert caught.value.code == "vm-suspended"
        assert "ims resume-vm web01" in caught.value.hint
    ims.stop_vm("web01", force=True)
    assert not list((pool / "memory").iterdir())
    ims.start_vm("web01", wait="ready")


def test_the_saved_memory_of_an_adopted_vm_is_not_deleted_with_it(
    connect: Connect, pool: Path
) -> None:
    add_foreign(pool, "legacy", state="suspended")
    ims = connect()
    ims.adopt_vm("legacy")
    with pytest.raises(ConflictError) as caught:
        ims.delete_vm("legacy")
    assert caught.value.code == "vm-suspended"
    assert ims.show_vm("legacy").state is State.SUSPENDED
    ims.stop_vm("legacy", force=True)
    ims.delete_vm("legacy")


def test_a_vm_keeps_running_if_there_is_no_room_for_its_memory(
    connect: Connect, pool: Path
) -> None:
    ims = connect(capacity=MEMORY)
    ims.create_vm("web01", memory=MEMORY)
    before = contents(pool)
    with pytest.raises(CapacityError, match="the pool has"):
        ims.suspend_vm("web01")
    assert contents(pool) == before
    assert last(ims) is Outcome.FAILED


@pytest.mark.parametrize("verb", ["suspend", "resume"])
def test_a_provider_that_cannot_suspend_says_so(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    lacking = type("Lacking", (FakeProvider,), {"suspend": None, "resume": None})
    monkeypatch.setattr("ims_core.service.session.provider_class", lambda _name: lacking)
    ims = connect()
    ims.create_vm("web01")
    with pytest.raises(UnsupportedError, match="no feature 'suspend'"):
        getattr(ims, f"{verb}_vm")("web01")
    assert [each.kind for each in ims.list_operations()] == ["create-vm"]
    ims.reboot_vm("web01", wait="ready")


@pytest.mark.parametrize("step", ["suspend", "resume"])
def test_a_busy_hypervisor_is_asked_again_and_one_that_fails_is_not(
    connect: Connect, step: str
) -> None:
    ims = connect()
    ims.create_vm("web01")
    if step == "resume":
        ims.suspend_vm("web01")
    before = ims.show_vm("web01").state
    with pytest.raises(HypervisorError):
        getattr(connect(fail=[step]), f"{step}_vm")("web01")
    assert ims.show_vm("web01").state is before
    getattr(connect(busy=[step]), f"{step}_vm")("web01")
    assert ims.show_vm("web01").state is not before


def test_foreign_and_missing_vms_are_refused(connect: Connect, pool: Path) -> None:
    add_foreign(pool, "theirs")
    ims = connect()
    before = contents(pool)
    for verb in (ims.suspend_vm, ims.resume_vm, ims.reboot_vm):
        with pytest.raises(NotOursError):
            verb("theirs")
        with pytest.raises(NotFoundError):
            verb("nope")
    assert contents(pool) == before


@pytest.mark.parametrize(
    ("verb", "reached"),
    [("suspend_vm", State.SUSPENDED), ("resume_vm", State.RUNNING)],
)
def test_what_was_cut_short_is_said_to_be_done_if_it_was(
    connect: Connect, verb: str, reached: State
) -> None:
    ims = connect()
    ims.create_vm("web01")
    if verb == "resume_vm":
        ims.suspend_vm("web01")
    before, method = ims.show_vm("web01").state, verb.removesuffix("_vm")
    killed(f"{verb}('web01')", "provider", method)
    assert ims.show_vm("web01").state is before
    assert last(ims) is Outcome.FAILED
    killed(f"{verb}('web01')", "provider", method, after=True)
    assert ims.show_vm("web01").state is reached
    assert last(ims) is Outcome.DONE
    getattr(ims, verb)("web01")


# --- reboot ---


def test_a_reboot_is_one_operation_with_a_fresh_delivery_that_the_guest_answers(
    connect: Connect,
) -> None:
    ims = connect()
    first = ims.create_vm("web01", wait="ready")
    ims.set_addresses("web01", ["192.0.2.50"])
    again = ims.reboot_vm("web01", wait="ready")
    assert first.receipt is not None
    assert again.receipt is not None
    assert again.mark is not None
    assert again.receipt.nonce == again.mark.nonce != first.receipt.nonce
    assert "192.0.2.50/24" in {each.address for each in again.addresses}
    kinds = [each.kind for each in ims.list_operations()]
    assert kinds == ["create-vm", "set-ip", "reboot-vm"]
    assert steps(ims) == ["stop", "start"]


def test_a_vm_that_is_off_is_not_rebooted(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    with pytest.raises(ConflictError) as caught:
        ims.reboot_vm("web01")
    assert caught.value.code == "vm-not-running"
    assert ims.show_vm("web01").state is State.DEFINED


def test_a_guest_that_ignores_the_request_is_rebooted_by_force_only(connect: Connect) -> None:
    ims = connect(shutdown="ignores")
    ims.create_vm("web01")
    first = nonce(ims)
    with pytest.raises(DeadlineError):
        ims.reboot_vm("web01", timeout=0.1)
    assert (ims.show_vm("web01").state, nonce(ims)) == (State.RUNNING, first)
    assert last(ims) is Outcome.FAILED
    ims.reboot_vm("web01", force=True, wait="ready")
    assert nonce(ims) != first


def test_what_cannot_be_waited_for_is_refused_before_the_stop(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", layout="opennebula", context=Context(user_data=b"#!/bin/sh\n"))
    first = nonce(ims)
    with pytest.raises(InvalidError):
        ims.reboot_vm("web01", wait="ready")
    assert (ims.show_vm("web01").state, nonce(ims)) == (State.RUNNING, first)


def test_a_suspended_vm_is_rebooted_by_force_without_its_memory(
    connect: Connect, pool: Path
) -> None:
    ims = connect()
    ims.create_vm("web01")
    ims.suspend_vm("web01")
    ims.reboot_vm("web01", force=True, wait="ready")
    assert not list((pool / "memory").iterdir())


def test_a_vm_whose_context_is_lost_reboots_with_the_medium_it_has(
    connect: Connect, own_state: Path
) -> None:
    ims = connect()
    ims.create_vm("web01")
    first = nonce(ims)
    with Ims(state=own_state / "another") as other:
        assert other.reboot_vm("web01").state is State.RUNNING
        assert last(other) is Outcome.DONE
    assert nonce(ims) == first


@pytest.mark.parametrize(("method", "after"), [("stop", True), ("set_addresses", False)])
def test_a_reboot_that_was_killed_after_the_stop_is_carried_on(
    connect: Connect, method: str, *, after: bool
) -> None:
    ims = connect()
    ims.create_vm("web01")
    first = nonce(ims)
    killed("reboot_vm('web01')", "provider", method, after=after)
    assert [vm.state for vm in ims.list_vms()] == [State.RUNNING]
    assert nonce(ims) != first
    assert last(ims) is Outcome.DONE
    receipt = ims.show_vm("web01").receipt
    assert receipt is not None
    assert receipt.nonce == nonce(ims)


def test_a_reboot_that_was_killed_before_the_stop_is_not_said_to_be_done(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01")
    first = nonce(ims)
    killed("reboot_vm('web01')", "provider", "stop")
    assert (ims.show_vm("web01").state, nonce(ims)) == (State.RUNNING, first)
    assert last(ims) is Outcome.FAILED


def test_a_reboot_that_was_killed_after_the_start_is_done(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01")
    first = nonce(ims)
    killed("reboot_vm('web01')", "provider", "start", after=True)
    assert ims.show_vm("web01").state is State.RUNNING
    assert nonce(ims) != first
    assert last(ims) is Outcome.DONE


def test_a_vm_that_somebody_stops_after_a_reboot_was_killed_before_its_stop_stays_off(
    connect: Connect, pool: Path
) -> None:
    ims = connect()
    vm = ims.create_vm("web01")
    killed("reboot_vm('web01')", "store", "aim")
    path = pool / "domains" / f"{vm.uuid}.json"
    path.write_text(path.read_text().replace('"state": "running"', '"state": "off"'))
    assert ims.show_vm("web01").state is State.STOPPED
    assert last(ims) is Outcome.FAILED


def test_recovery_does_not_try_for_ever_what_cannot_be_started(
    connect: Connect, pool: Path
) -> None:
    ims = connect()
    ims.create_vm("web01")
    killed("reboot_vm('web01')", "provider", "stop", after=True)
    [volume] = (pool / "volumes").iterdir()
    volume.unlink()
    told: list[Event] = []
    again = connect(progress=told.append)
    again.list_vms()
    assert any("cannot be started" in each.message for each in told if each.warning)
    assert last(again) is Outcome.FAILED


@pytest.mark.parametrize("phase", [Phase.STOP, Phase.START])
def test_a_cancelled_reboot_leaves_the_vm_running(connect: Connect, phase: Phase) -> None:
    connect().create_vm("web01")

    def cancel(event: Event) -> None:
        if event.phase is phase:
            raise CancelledError("enough")

    ims = connect(progress=cancel)
    first = nonce(ims)
    with pytest.raises(CancelledError) as caught:
        ims.reboot_vm("web01")
    assert ims.show_vm("web01").state is State.RUNNING
    started = phase is Phase.START
    assert (nonce(ims) != first) is started
    assert last(ims) is (Outcome.DONE if started else Outcome.FAILED)
    assert ("it was started again all the same" in caught.value.details) is started


def test_a_vm_that_cannot_be_started_after_its_stop_is_told_to_be_off(connect: Connect) -> None:
    connect().create_vm("web01")
    ims = connect(fail=["start"])
    with pytest.raises(HypervisorError) as caught:
        ims.reboot_vm("web01")
    assert "it may be off" in caught.value.details[0]
    assert last(ims) is Outcome.FAILED
    ims = connect()
    assert ims.show_vm("web01").state is State.STOPPED
    ims.start_vm("web01", wait="ready")


def test_a_hypervisor_that_went_away_after_the_stop_has_the_vm_started_later(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    ims = connect()
    ims.create_vm("web01")

    def gone(*_: object) -> None:
        raise UnavailableError("nobody answers")

    with monkeypatch.context() as patch:
        patch.setattr("ims_fake.FakeProvider.start", gone)
        with pytest.raises(UnavailableError) as caught:
            ims.reboot_vm("web01")
    assert "when the pool is used next" in caught.value.details[0]
    assert last(ims) is Outcome.UNFINISHED
    assert [vm.state for vm in ims.list_vms()] == [State.RUNNING]
    assert last(ims) is Outcome.DONE
