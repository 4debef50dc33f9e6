"""Suspending a VM, and letting it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ims_core.errors import ConflictError, NotFoundError
from ims_core.models import Mark, State
from ims_core.spi import Suspend
from ims_core.testing.bench import changes, everything
from ims_core.testing.needs import declared, left_out, needs_start

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench, Order
    from ims_core.testing.target import Target

__all__ = [
    "test_a_suspended_vm_can_have_its_power_taken_and_starts_anew",
    "test_a_suspended_vm_goes_on_with_what_it_had",
    "test_a_suspended_vm_is_deleted_with_its_memory",
    "test_a_suspended_vm_is_neither_asked_to_stop_nor_started",
    "test_a_suspended_vm_is_seen_as_such_and_keeps_its_mark",
    "test_a_vm_that_is_not_there_is_neither_suspended_nor_resumed",
    "test_a_vm_that_is_off_is_neither_suspended_nor_resumed",
    "test_saved_memory_of_a_vm_that_was_adopted_is_not_deleted",
    "test_the_mark_of_a_suspended_vm_can_be_replaced",
    "test_what_is_so_already_is_left_so",
]

POWER_OFF_SECONDS = 30.0
SHORT = 0.2


def test_a_suspended_vm_is_seen_as_such_and_keeps_its_mark(
    ims_target: Target, ims_bench: Bench
) -> None:
    """21. suspend saves the memory of a running VM and takes its power away (SUSPENDED).

    Mend: in `suspend`, save the memory, return when the VM is off, and leave its mark. In
    `inspect`, answer `SUSPENDED` for a VM that is off and has saved memory; in `metrics`, leave it
    out.
    """
    order = _suspended(ims_target, ims_bench)
    listed = ims_bench.listed(order.uuid)
    alone = ims_bench.look(order.uuid, evidence=True)
    for vm in (listed, alone):
        assert vm.state is State.SUSPENDED, "the VM is not shown as suspended"
        assert vm.mark == order.mark, "suspend changed the mark"
        assert not vm.problem, "inspect sees a problem in the VM"
    assert order.uuid not in {each.uuid for each in ims_target.provider.metrics()}, (
        "metrics() answers with a VM that is suspended"
    )


def test_a_suspended_vm_goes_on_with_what_it_had(ims_target: Target, ims_bench: Bench) -> None:
    """21. resume lets it go on where it was, and then nothing is left of what was saved.

    Mend: in `resume`, put the VM's own delivery back in place, load the memory, let the CPUs run,
    and then remove what was saved. Do not boot the guest, and change neither its mark nor its
    receipt.
    """
    provider = declared(ims_target, Suspend)
    order = ims_bench.settled()
    answer = ims_bench.answered(order, order.delivery.nonce).receipt if ims_target.boots else None
    before = everything(ims_target)
    provider.suspend(order.uuid)
    provider.resume(order.uuid)
    vm = ims_bench.look(order.uuid, evidence=True)
    assert vm.state is State.RUNNING, "the VM is not shown as running"
    assert vm.mark == order.mark, "suspend or resume changed the mark"
    assert vm.receipt == answer, "its receipt is not the one of before"
    assert everything(ims_target) == before, changes(ims_target, before)
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    ims_target.provider.start(order.uuid, None)
    if ims_target.boots:
        ims_bench.answered(order, order.delivery.nonce)


def test_what_is_so_already_is_left_so(ims_target: Target, ims_bench: Bench) -> None:
    """21. A VM that is as it is to be already is left so, without an error.

    Mend: look at the state first: in `suspend`, return if the VM is suspended, and in `resume`,
    return if it runs.
    """
    provider = declared(ims_target, Suspend)
    order = _suspended(ims_target, ims_bench)
    provider.suspend(order.uuid)
    assert ims_bench.look(order.uuid).state is State.SUSPENDED, "the VM is not shown as suspended"
    for _ in range(2):
        provider.resume(order.uuid)
        assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"


def test_the_mark_of_a_suspended_vm_can_be_replaced(ims_target: Target, ims_bench: Bench) -> None:
    """21. A VM goes on where it was, but its mark is what was written last.

    Mend: let `write_mark` work on a suspended VM. In `resume`, keep the mark that is there now; if
    loading the memory brings the mark of that time back, write the present one again.
    """
    provider = declared(ims_target, Suspend)
    order = _suspended(ims_target, ims_bench)
    mark = Mark(
        store="another",
        operation=order.mark.operation,
        vm=order.uuid,
        complete=True,
        digest=order.mark.digest,
        nonce=order.mark.nonce,
    )
    ims_target.provider.write_mark(order.uuid, mark)
    assert ims_bench.mark(order.uuid) == mark, "the mark is not as write_mark was given it"
    provider.resume(order.uuid)
    assert ims_bench.mark(order.uuid) == mark, "the mark is not as write_mark was given it"


def test_a_vm_that_is_off_is_neither_suspended_nor_resumed(
    ims_target: Target, ims_bench: Bench
) -> None:
    """21. suspend is for a running VM, resume for one that was suspended; else ConflictError.

    Mend: look at the state before you change anything. If the VM is off and nothing of it is saved,
    raise `ConflictError`: with the code `vm-not-running` in `suspend`, `vm-not-suspended` in
    `resume`.
    """
    provider = declared(ims_target, Suspend)
    order = ims_bench.created()
    for call, code in ((provider.suspend, "vm-not-running"), (provider.resume, "vm-not-suspended")):
        with pytest.raises(ConflictError) as caught:
            call(order.uuid)
        assert caught.value.code == code, f"the error's code is {caught.value.code!r}"
        assert ims_bench.look(order.uuid).state is State.DEFINED, "the VM is not shown as defined"


def test_a_vm_that_is_not_there_is_neither_suspended_nor_resumed(ims_target: Target) -> None:
    """17. Where a VM must exist and does not, NotFoundError is raised.

    Mend: in `suspend` and `resume`, look the VM up by its UUID first, and raise `NotFoundError` if
    it is not there.
    """
    provider = declared(ims_target, Suspend)
    for call in (provider.suspend, provider.resume):
        with pytest.raises(NotFoundError):
            call(str(uuid4()))


def test_a_suspended_vm_is_neither_asked_to_stop_nor_started(
    ims_target: Target, ims_bench: Bench
) -> None:
    """11. The guest of a suspended VM cannot be asked to stop; 10. start would not start it.

    Mend: in `stop` without `force`, and in `start` with a delivery or without, look at the state
    first, and if the VM is suspended, raise `ConflictError` with the code `vm-suspended` before you
    change its delivery or its mark.
    """
    order = _suspended(ims_target, ims_bench)
    provider = ims_target.provider
    with pytest.raises(ConflictError) as caught:
        provider.stop(order.uuid, force=False, timeout=SHORT)
    assert caught.value.code == "vm-suspended", f"the error's code is {caught.value.code!r}"
    for delivery in (None, ims_bench.delivery(order.spec)):
        with pytest.raises(ConflictError) as caught:
            provider.start(order.uuid, delivery)
        assert caught.value.code == "vm-suspended", f"the error's code is {caught.value.code!r}"
    assert ims_bench.look(order.uuid).state is State.SUSPENDED, "the VM is not shown as suspended"
    assert ims_bench.mark(order.uuid) == order.mark, "the mark names a delivery that was refused"


def test_a_suspended_vm_can_have_its_power_taken_and_starts_anew(
    ims_target: Target, ims_bench: Bench
) -> None:
    """11. force gives up the saved memory of a suspended VM.

    Mend: in `stop` with `force`, remove the saved memory of a suspended VM, so that it is
    `STOPPED`. In `start`, boot it then with the new delivery.
    """
    order = ims_bench.settled()
    before = everything(ims_target)
    declared(ims_target, Suspend).suspend(order.uuid)
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    assert ims_bench.look(order.uuid).state is State.STOPPED, "the VM is not shown as stopped"
    assert everything(ims_target) == before, changes(ims_target, before)
    second = ims_bench.delivery(order.spec, changed="yes")
    ims_target.provider.start(order.uuid, second)
    assert ims_bench.mark(order.uuid).nonce == second.nonce, (
        "the mark does not have the nonce of the new delivery"
    )
    if ims_target.boots:
        ims_bench.answered(order, second.nonce)


def test_a_suspended_vm_is_deleted_with_its_memory(ims_target: Target, ims_bench: Bench) -> None:
    """12. delete removes a VM with memory that was saved.

    Mend: in `delete`, look for saved memory too, and remove it before the VM's definition and its
    mark.
    """
    before = everything(ims_target)
    order = _suspended(ims_target, ims_bench)
    ims_target.provider.delete(order.uuid)
    assert not ims_bench.is_there(order.uuid), "inspect still shows the VM"
    assert everything(ims_target) == before, changes(ims_target, before)


def test_saved_memory_of_a_vm_that_was_adopted_is_not_deleted(
    ims_target: Target, ims_bench: Bench
) -> None:
    """12. If the memory of a VM that was adopted is saved, delete refuses.

    Mend: in `delete`, look at the mark: if it has no operation, and memory of the VM is saved,
    raise `ConflictError` (`vm-suspended`) before anything is removed.
    """
    provider = declared(ims_target, Suspend)
    needs_start(ims_target)
    if not ims_target.suspends_at_once:
        left_out("suspends_at_once")
    vm = ims_bench.look(ims_bench.foreign())
    mark = Mark(ims_target.store_id, "", vm.uuid, complete=True)
    ims_target.provider.write_mark(vm.uuid, mark)
    if vm.state is not State.RUNNING:
        ims_target.provider.start(vm.uuid, None)
    provider.suspend(vm.uuid)
    with pytest.raises(ConflictError) as caught:
        ims_target.provider.delete(vm.uuid)
    assert caught.value.code == "vm-suspended", f"the error's code is {caught.value.code!r}"
    seen = ims_bench.look(vm.uuid)
    assert (seen.state, seen.mark) == (State.SUSPENDED, mark), "the VM is not as it was"
    ims_target.provider.stop(vm.uuid, force=True, timeout=POWER_OFF_SECONDS)
    ims_target.provider.delete(vm.uuid)


def _suspended(target: Target, bench: Bench) -> Order:
    provider = declared(target, Suspend)
    order = bench.settled()
    provider.suspend(order.uuid)
    return order
