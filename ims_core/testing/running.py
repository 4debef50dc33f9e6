"""Starting and stopping."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import ConflictError, DeadlineError
from ims_core.models import State
from ims_core.testing.bench import changes, everything
from ims_core.testing.needs import left_out, needs_start

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_delivery_that_the_mark_names_is_in_place",
    "test_a_graceful_stop_ends_in_time",
    "test_a_guest_that_does_not_obey_keeps_running",
    "test_a_start_with_a_new_delivery_is_recorded",
    "test_a_started_vm_runs_and_its_mark_says_what_it_was_told",
    "test_a_stopped_vm_starts_again_as_it_is",
    "test_a_vm_that_runs_is_not_started_again",
    "test_stop_takes_the_power_away",
    "test_stopping_a_vm_that_is_off_succeeds",
    "test_the_guest_reads_the_delivery_of_this_start",
]

POWER_OFF_SECONDS = 30.0
SHORT = 0.2
PATIENT = 2.0
ONE_REQUEST = 1.0


def test_a_started_vm_runs_and_its_mark_says_what_it_was_told(
    ims_target: Target, ims_bench: Bench
) -> None:
    """10. start records the delivery's digest and nonce in the mark.

    Mend: in `start`, put the delivery in place, write its `digest` and `nonce` into the mark and
    leave the mark's other fields, then power the VM on. Return when its CPUs run. In `create`, add
    no nonce to the mark.
    """
    needs_start(ims_target)
    order = ims_bench.created()
    assert ims_bench.mark(order.uuid).nonce == "", (
        "before the first start the mark has a nonce already"
    )
    ims_target.provider.start(order.uuid, order.delivery)
    mark = ims_bench.mark(order.uuid)
    assert (mark.digest, mark.nonce) == (order.delivery.digest, order.delivery.nonce), (
        "the mark does not have the digest and the nonce of the delivery"
    )
    assert mark.operation == order.mark.operation, "start changed the operation in the mark"
    assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"


def test_a_delivery_that_the_mark_names_is_in_place(ims_bench: Bench) -> None:
    """10. A mark that has this nonce already says that the delivery is in place.

    Mend: in `start`, compare `delivery.nonce` with the nonce in the mark. If they are equal, power
    the VM on and change neither the delivery nor the mark.
    """
    order = ims_bench.started()
    assert ims_bench.mark(order.uuid) == order.mark, "the mark has changed"
    assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"


def test_a_vm_that_runs_is_not_started_again(ims_target: Target, ims_bench: Bench) -> None:
    """10. On a running VM start raises ConflictError.

    Mend: in `start`, look at the VM's state first, and if it runs, raise `ConflictError`
    (`vm-running`) before you change its delivery or its mark.
    """
    order = ims_bench.started()
    mark = ims_bench.mark(order.uuid)
    with pytest.raises(ConflictError) as caught:
        ims_target.provider.start(order.uuid, ims_bench.delivery(order.spec))
    assert caught.value.code == "vm-running", f"the error's code is {caught.value.code!r}"
    assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"
    assert ims_bench.mark(order.uuid) == mark, "the mark names a delivery that was refused"


def test_the_guest_reads_the_delivery_of_this_start(ims_target: Target, ims_bench: Bench) -> None:
    """10. start puts the delivery in place before the guest's first instruction.

    Mend: in `start`, replace the medium or the values before you power the VM on, and in `inspect`
    with evidence, return the receipt that the guest wrote last. If no guest ever answers, read its
    console: it may not find this carrier.
    """
    order = ims_bench.started()
    first = ims_bench.answered(order, order.delivery.nonce).receipt
    assert first is not None
    assert not first.problem(digest=order.delivery.digest, nonce=order.delivery.nonce), (
        "the first start's receipt does not fit its delivery"
    )
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    second = ims_bench.delivery(order.spec, changed="yes")
    ims_target.provider.start(order.uuid, second)
    receipt = ims_bench.answered(order, second.nonce).receipt
    assert receipt is not None
    assert not receipt.problem(digest=second.digest, nonce=second.nonce), (
        "the second start's receipt does not fit its delivery"
    )


def test_stop_takes_the_power_away(ims_target: Target, ims_bench: Bench) -> None:
    """11. force takes the power away, and deletes nothing.

    Mend: in `stop` with `force`, take the power away, wait until the hypervisor shows the VM as
    off, and keep its definition, disks, delivery and mark.
    """
    order = ims_bench.started()
    before = everything(ims_target)
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    vm = ims_bench.look(order.uuid)
    assert vm.state is State.STOPPED, "the VM is not shown as stopped"
    assert vm.mark == order.mark, "stop changed the mark"
    assert not vm.problem, "inspect sees a problem in the VM"
    assert everything(ims_target) == before, changes(ims_target, before)


def test_a_graceful_stop_ends_in_time(ims_target: Target, ims_bench: Bench) -> None:
    """11. When the time is over stop raises DeadlineError and the VM keeps running.

    Mend: in `stop` without `force`, ask the guest, look at the state until it is off, and raise
    `DeadlineError` when `timeout` seconds are over. Do not take the power away then.
    """
    order = ims_bench.started()
    try:
        ims_target.provider.stop(order.uuid, force=False, timeout=SHORT)
    except DeadlineError:
        assert ims_bench.look(order.uuid).state in (State.RUNNING, State.STOPPING), (
            "after DeadlineError the VM does not run"
        )
    else:
        assert ims_bench.look(order.uuid).state is State.STOPPED, "the VM is not shown as stopped"


def test_a_guest_that_does_not_obey_keeps_running(ims_target: Target, ims_bench: Bench) -> None:
    """11. stop waits for the time given, 3. and no longer; then DeadlineError, and it runs on.

    Mend: in `stop` without `force`, wait `timeout` seconds, by a monotonic clock, until the VM is
    off. Then raise `DeadlineError`, and take no power away.
    """
    if ims_target.deafen is None:
        left_out("deafen")
    order = ims_bench.started()
    with ims_target.deafen():
        began = time.monotonic()
        with pytest.raises(DeadlineError):
            ims_target.provider.stop(order.uuid, force=False, timeout=PATIENT)
        took = time.monotonic() - began
    assert 0.9 * PATIENT <= took < 2 * PATIENT + ONE_REQUEST, (
        f"stop with timeout={PATIENT:g} took {took:.1f} s"
    )
    vm = ims_bench.look(order.uuid)
    assert vm.state in (State.RUNNING, State.STOPPING), "after DeadlineError the VM does not run"
    assert vm.mark == order.mark, "stop changed the mark"
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)


def test_stopping_a_vm_that_is_off_succeeds(ims_target: Target, ims_bench: Bench) -> None:
    """11. Both ways of stopping succeed on a VM that is off.

    Mend: in `stop`, look at the state first, and return without any change if the VM is off. Catch
    the hypervisor's own error for that.
    """
    order = ims_bench.created()
    for force in (False, True):
        ims_target.provider.stop(order.uuid, force=force, timeout=SHORT)
        assert ims_bench.look(order.uuid).state is State.DEFINED, "the VM is not shown as defined"
    if ims_target.expect_start:
        ims_target.provider.start(order.uuid, order.delivery)
        for force in (True, True, False):
            ims_target.provider.stop(order.uuid, force=force, timeout=POWER_OFF_SECONDS)
            assert ims_bench.look(order.uuid).state is State.STOPPED, (
                "the VM is not shown as stopped"
            )


def test_a_stopped_vm_starts_again_as_it_is(ims_target: Target, ims_bench: Bench) -> None:
    """13. The delivery stays with the VM: a stopped VM can start again without a new one.

    Mend: in `stop`, leave the delivery with the VM. In `start` without a delivery, power the VM on
    with what it has, and do not write the mark.
    """
    order = ims_bench.started()
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    ims_target.provider.start(order.uuid, None)
    assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"
    assert ims_bench.mark(order.uuid) == order.mark, "the mark has changed"


def test_a_start_with_a_new_delivery_is_recorded(ims_target: Target, ims_bench: Bench) -> None:
    """13. A stopped VM can start again; 10. the mark then has the new digest and nonce.

    Mend: in `start`, if the delivery's nonce is not the mark's, put the new delivery in the place
    of the old one, so that nothing is left of that, and write the new `digest` and `nonce` into the
    mark.
    """
    order = ims_bench.started()
    before = everything(ims_target)
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    second = ims_bench.delivery(order.spec, changed="yes")
    ims_target.provider.start(order.uuid, second)
    mark = ims_bench.mark(order.uuid)
    assert (mark.digest, mark.nonce) == (second.digest, second.nonce), (
        "the mark does not have the digest and the nonce of the new delivery"
    )
    assert everything(ims_target) == before, (
        f"a start makes nothing that stays: {changes(ims_target, before)}"
    )
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    equal = ims_bench.delivery(order.spec, changed="yes")
    ims_target.provider.start(order.uuid, equal)
    assert ims_bench.mark(order.uuid).nonce == equal.nonce, (
        "the mark does not have the nonce of a delivery that says the same as the one before"
    )
    if ims_target.boots:
        ims_bench.answered(order, equal.nonce)
