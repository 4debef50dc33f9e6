"""Holding the CPUs of a VM, and letting it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ims_core.errors import ConflictError, NotFoundError
from ims_core.models import State
from ims_core.spi import Pause, Suspend
from ims_core.testing.bench import changes, everything
from ims_core.testing.needs import declared

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_paused_vm_can_have_its_power_taken",
    "test_a_paused_vm_goes_on_with_what_it_had",
    "test_a_paused_vm_is_deleted",
    "test_a_paused_vm_is_left_so",
    "test_a_paused_vm_is_seen_as_such_and_keeps_its_mark",
    "test_a_paused_vm_that_was_suspended_goes_on",
    "test_a_suspended_vm_is_not_paused",
    "test_a_vm_that_is_not_there_is_not_paused",
    "test_a_vm_that_is_off_is_not_paused",
    "test_what_can_be_paused_can_go_on",
]

POWER_OFF_SECONDS = 30.0


def test_what_can_be_paused_can_go_on(ims_target: Target) -> None:
    """24. What can be paused implements Suspend too, whose resume lets it go on.

    Mend: implement `suspend` and `resume` as well, or leave `pause` out.
    """
    assert isinstance(declared(ims_target, Pause), Suspend), (
        "there is pause, but not both suspend and resume"
    )


def test_a_paused_vm_is_seen_as_such_and_keeps_its_mark(
    ims_target: Target, ims_bench: Bench
) -> None:
    """24. pause holds the CPUs of a running VM, whose memory stays where it is (PAUSED).

    Mend: in `pause`, hold the CPUs, save nothing to disk and leave the mark. In `inspect`,
    translate the hypervisor's word for this state to `State.PAUSED`.
    """
    provider = declared(ims_target, Pause)
    order = ims_bench.started()
    before = everything(ims_target)
    provider.pause(order.uuid)
    listed = ims_bench.listed(order.uuid)
    alone = ims_bench.look(order.uuid, evidence=True)
    for vm in (listed, alone):
        assert vm.state is State.PAUSED, "the VM is not shown as paused"
        assert vm.mark == order.mark, "the mark has changed"
        assert not vm.problem, "inspect sees a problem in the VM"
    assert everything(ims_target) == before, changes(ims_target, before)


def test_a_paused_vm_goes_on_with_what_it_had(ims_target: Target, ims_bench: Bench) -> None:
    """24. resume lets it go on: told nothing new, and with no answer to give.

    Mend: in `resume`, look whether the VM is paused; then only let its CPUs run again, and change
    neither its delivery nor its mark nor its receipt.
    """
    provider = declared(ims_target, Pause)
    order = ims_bench.started()
    answer = ims_bench.answered(order, order.delivery.nonce).receipt if ims_target.boots else None
    used = ims_bench.cpu_seconds(order)
    provider.pause(order.uuid)
    if ims_target.settings is not None:
        with type(ims_target.provider).open(ims_target.settings) as second:
            (seen,) = second.inspect([order.uuid])
            assert seen.state is State.PAUSED, "another connection does not show it as paused"
    _resume(ims_target, order.uuid)
    assert ims_bench.cpu_seconds(order) >= used, "the guest was started anew"
    vm = ims_bench.look(order.uuid, evidence=True)
    assert vm.state is State.RUNNING, "the VM is not shown as running"
    assert vm.mark == order.mark, "the mark has changed"
    if ims_target.boots:
        assert vm.receipt == answer, "its receipt is not the one of before"


def test_a_paused_vm_is_left_so(ims_target: Target, ims_bench: Bench) -> None:
    """24. One that is paused already is left so.

    Mend: in `pause`, look at the state first, and return if the VM is paused.
    """
    provider = declared(ims_target, Pause)
    order = ims_bench.started()
    for _ in range(2):
        provider.pause(order.uuid)
        assert ims_bench.look(order.uuid).state is State.PAUSED, "the VM is not shown as paused"


def test_a_vm_that_is_off_is_not_paused(ims_target: Target, ims_bench: Bench) -> None:
    """24. pause is for a running VM: one that is off is ConflictError.

    Mend: in `pause`, look at the state first, and if the VM is off, raise `ConflictError` with the
    code `vm-not-running`.
    """
    provider = declared(ims_target, Pause)
    order = ims_bench.created()
    with pytest.raises(ConflictError) as caught:
        provider.pause(order.uuid)
    assert caught.value.code == "vm-not-running", f"the error's code is {caught.value.code!r}"
    assert ims_bench.look(order.uuid).state is State.DEFINED, "the VM is not shown as defined"


def test_a_suspended_vm_is_not_paused(ims_target: Target, ims_bench: Bench) -> None:
    """24. pause is for a running VM: one that is suspended is ConflictError.

    Mend: in `pause`, look for saved memory before you look whether the VM is off, and if there is
    some, raise `ConflictError` with the code `vm-suspended`.
    """
    provider = declared(ims_target, Pause)
    order = ims_bench.settled()
    if isinstance(ims_target.provider, Suspend):
        ims_target.provider.suspend(order.uuid)
    with pytest.raises(ConflictError) as caught:
        provider.pause(order.uuid)
    assert caught.value.code == "vm-suspended", f"the error's code is {caught.value.code!r}"
    assert ims_bench.look(order.uuid).state is State.SUSPENDED, "the VM is not shown as suspended"


def test_a_paused_vm_can_have_its_power_taken(ims_target: Target, ims_bench: Bench) -> None:
    """11. force takes the power away, from a paused VM too.

    Mend: in `stop` with `force`, go by whether the VM is off, not by whether it runs.
    """
    provider = declared(ims_target, Pause)
    order = ims_bench.started()
    provider.pause(order.uuid)
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    assert ims_bench.look(order.uuid).state is State.STOPPED, "the VM is not shown as stopped"
    assert ims_bench.mark(order.uuid) == order.mark, "the mark has changed"


def test_a_paused_vm_that_was_suspended_goes_on(ims_target: Target, ims_bench: Bench) -> None:
    """21. A VM whose CPUs are held can be suspended too, and goes on by resume.

    Mend: in `resume`, let the CPUs run when the memory is loaded, even if they were held when it
    was saved.
    """
    provider = declared(ims_target, Pause)
    order = ims_bench.settled()
    provider.pause(order.uuid)
    assert isinstance(ims_target.provider, Suspend)
    ims_target.provider.suspend(order.uuid)
    assert ims_bench.look(order.uuid).state is State.SUSPENDED, "the VM is not shown as suspended"
    _resume(ims_target, order.uuid)
    assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"


def test_a_paused_vm_is_deleted(ims_target: Target, ims_bench: Bench) -> None:
    """12. delete removes a VM that is off or on, a paused one among them.

    Mend: in `delete`, take the power away from a VM in every state that is not off, then remove its
    parts.
    """
    provider = declared(ims_target, Pause)
    before = everything(ims_target)
    order = ims_bench.started()
    provider.pause(order.uuid)
    ims_target.provider.delete(order.uuid)
    assert everything(ims_target) == before, changes(ims_target, before)


def test_a_vm_that_is_not_there_is_not_paused(ims_target: Target) -> None:
    """17. Where a VM must exist and does not, NotFoundError is raised.

    Mend: in `pause`, look the VM up by its UUID first, and raise `NotFoundError` if it is not
    there.
    """
    with pytest.raises(NotFoundError):
        declared(ims_target, Pause).pause(str(uuid4()))


def _resume(target: Target, vm: str) -> None:
    assert isinstance(target.provider, Suspend)
    target.provider.resume(vm)
