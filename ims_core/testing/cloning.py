"""Making a VM from the disk of another one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ims_core.errors import ConflictError, NotFoundError
from ims_core.models import State
from ims_core.spi import Clone, Snapshots, Suspend
from ims_core.testing.bench import Crash, CrashingUndo, changes, everything
from ims_core.testing.needs import declared

if TYPE_CHECKING:
    from ims_core.models import VMSpec
    from ims_core.testing.bench import Bench, Order
    from ims_core.testing.target import Target

__all__ = [
    "test_a_clone_and_its_source_are_deleted_independently",
    "test_a_clone_has_its_own_name_uuid_mark_and_cards",
    "test_a_clone_is_refused_a_name_that_is_taken",
    "test_a_clone_of_a_vm_that_is_not_there_is_refused",
    "test_a_clone_reads_its_own_delivery",
    "test_a_crash_at_any_announcement_of_a_clone_leaves_nothing",
    "test_a_running_vm_is_not_cloned",
    "test_a_suspended_vm_is_not_cloned",
]

MOST_ANNOUNCEMENTS = 100


def test_a_clone_has_its_own_name_uuid_mark_and_cards(ims_target: Target, ims_bench: Bench) -> None:
    """23. clone is a create: the VM is defined, not running, with the mark it was given.

    Mend: in `clone`, take only the root disk from the source and all else from `spec`, `delivery`
    and `mark`, as `create` does. Do not start the clone, and only read the source.
    """
    declared(ims_target, Clone)
    source = ims_bench.created()
    seen = ims_bench.look(source.uuid, evidence=True)
    spec = ims_bench.spec()
    clone = _cloned(
        ims_target, ims_bench, source, replace(spec, memory=spec.memory + (16 << 20), vcpus=2)
    )
    vm = ims_bench.look(clone.uuid)
    assert (vm.name, vm.state, vm.mark) == (clone.name, State.DEFINED, clone.mark), (
        "the clone does not have its own name and mark, or is not shown as defined"
    )
    assert vm.memory in (None, clone.spec.memory), "the clone has another memory than was ordered"
    assert vm.vcpus in (None, clone.spec.vcpus), "the clone has other CPUs than were ordered"
    if isinstance(ims_target.provider, Snapshots):
        assert not ims_target.provider.list_snapshots(source.uuid), "the source has a snapshot now"
    assert not vm.problem, "inspect sees a problem in the VM"
    assert ims_bench.look(clone.name).uuid == clone.uuid, "inspect by name shows another UUID"
    assert ims_bench.look(source.uuid, evidence=True) == seen, "the source is not as it was"


def test_a_clone_and_its_source_are_deleted_independently(
    ims_target: Target, ims_bench: Bench
) -> None:
    """23. Afterwards neither depends on the other, and nothing is left of either.

    Mend: in `clone`, copy the disk in full, without a backing file or a snapshot that both need,
    and give all parts of the clone names of its own.
    """
    declared(ims_target, Clone)
    for first_goes in ("source", "clone"):
        before = everything(ims_target)
        source = ims_bench.created()
        clone = _cloned(ims_target, ims_bench, source)
        goes, stays = (source, clone) if first_goes == "source" else (clone, source)
        ims_target.provider.delete(goes.uuid)
        assert not ims_bench.look(stays.uuid).problem, "inspect sees a problem in the VM"
        if ims_target.expect_start:
            ims_target.provider.start(stays.uuid, stays.delivery)
            assert ims_bench.look(stays.uuid).state is State.RUNNING, (
                "the VM is not shown as running"
            )
        ims_target.provider.delete(stays.uuid)
        assert everything(ims_target) == before, changes(ims_target, before)


def test_a_clone_reads_its_own_delivery(ims_target: Target, ims_bench: Bench) -> None:
    """23. The root disk is a copy as it is, and yet 10. the delivery is the clone's own.

    Mend: in `clone`, put `delivery` in place as `create` does, and give the clone no medium and no
    values of the source.
    """
    declared(ims_target, Clone)
    source = ims_bench.started()
    ims_bench.answered(source, source.delivery.nonce)
    ims_target.provider.stop(source.uuid, force=True, timeout=30)
    clone = _cloned(ims_target, ims_bench, source)
    ims_target.provider.start(clone.uuid, None)
    vm = ims_bench.answered(clone, clone.delivery.nonce)
    receipt = vm.receipt
    assert receipt is not None
    macs = {card.mac for card in clone.spec.interfaces}
    assert {address.mac for address in vm.addresses} <= macs, "a card of the clone has another MAC"
    assert receipt.digest == clone.delivery.digest, (
        "the guest read another delivery than the clone's"
    )


def test_a_running_vm_is_not_cloned(ims_target: Target, ims_bench: Bench) -> None:
    """23. The source must be off: else ConflictError, and nothing is made.

    Mend: in `clone`, look at the source's state before you make anything, and if it runs, raise
    `ConflictError` with the code `vm-running`.
    """
    declared(ims_target, Clone)
    source = ims_bench.started()
    _refused(ims_target, ims_bench, source.uuid, "vm-running")
    assert ims_bench.look(source.uuid).state is State.RUNNING, "the VM is not shown as running"


def test_a_suspended_vm_is_not_cloned(ims_target: Target, ims_bench: Bench) -> None:
    """23. The source must be off: a suspended one is ConflictError too, and stays suspended.

    Mend: in `clone`, look for saved memory of the source before you make anything, and if there is
    some, raise `ConflictError` with the code `vm-suspended`.
    """
    declared(ims_target, Clone)
    suspending = declared(ims_target, Suspend)
    source = ims_bench.settled()
    suspending.suspend(source.uuid)
    _refused(ims_target, ims_bench, source.uuid, "vm-suspended")
    assert ims_bench.look(source.uuid).state is State.SUSPENDED, "the VM is not shown as suspended"


def test_a_clone_is_refused_a_name_that_is_taken(ims_target: Target, ims_bench: Bench) -> None:
    """8. A name that is taken is refused, and the namesake left as it was.

    Mend: in `clone`, check the name by the same code as `create`, and raise `ConflictError` with
    the code `vm-exists`. Let `discard` go by the operation id.
    """
    provider = declared(ims_target, Clone)
    source = ims_bench.created()
    clone = ims_bench.order(ims_bench.spec(name="ims-kit-clone"))
    namesake = ims_bench.created(ims_bench.spec(name="ims-kit-clone"))
    seen = ims_bench.look(namesake.uuid)
    with pytest.raises(ConflictError) as caught:
        provider.clone(source.uuid, clone.spec, clone.delivery, clone.mark, clone.undo)
    assert caught.value.code == "vm-exists", f"the error's code is {caught.value.code!r}"
    ims_bench.roll_back(clone.undo)
    assert ims_bench.look(namesake.uuid) == seen, "the VM that has the name is not as it was"


def test_a_clone_of_a_vm_that_is_not_there_is_refused(ims_target: Target, ims_bench: Bench) -> None:
    """17. Where a VM must exist and does not, NotFoundError is raised.

    Mend: in `clone`, look the source up by its UUID first, and raise `NotFoundError` if it is not
    there.
    """
    provider = declared(ims_target, Clone)
    clone = ims_bench.order()
    with pytest.raises(NotFoundError):
        provider.clone(str(uuid4()), clone.spec, clone.delivery, clone.mark, clone.undo)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_crash_at_any_announcement_of_a_clone_leaves_nothing(
    ims_target: Target, ims_bench: Bench, recorded: bool
) -> None:
    """7. If it raises, what it had made may remain: the service discards what was announced.

    Mend: in `clone`, announce each thing before you make it, as `create` does. Leave nothing at the
    source, no lock and no temporary snapshot, that is not announced as well.
    """
    provider = declared(ims_target, Clone)
    source = ims_bench.created()
    seen, before = ims_bench.look(source.uuid), everything(ims_target)
    for going_well in range(MOST_ANNOUNCEMENTS):
        order = ims_bench.order()
        undo = order.undo = CrashingUndo(order.mark.operation, left=going_well, recorded=recorded)
        try:
            provider.clone(source.uuid, order.spec, order.delivery, order.mark, undo)
        except Crash:
            ims_bench.roll_back(undo)
            assert everything(ims_target) == before, (
                f"after a crash at announcement {going_well + 1} and discard:"
                f" {changes(ims_target, before)}"
            )
            assert ims_bench.look(source.uuid) == seen, "the source is not as it was"
        else:
            order.made = True
            assert going_well > 0, "nothing was announced"
            return
    pytest.fail(f"more than {MOST_ANNOUNCEMENTS} announcements")


def _cloned(target: Target, bench: Bench, source: Order, spec: VMSpec | None = None) -> Order:
    clone = bench.order(spec, starts=True)
    declared(target, Clone).clone(source.uuid, clone.spec, clone.delivery, clone.mark, clone.undo)
    clone.made = True
    return clone


def _refused(target: Target, bench: Bench, source: str, code: str) -> None:
    clone, before = bench.order(), everything(target)
    with pytest.raises(ConflictError) as caught:
        declared(target, Clone).clone(source, clone.spec, clone.delivery, clone.mark, clone.undo)
    assert caught.value.code == code, f"the error's code is {caught.value.code!r}"
    bench.roll_back(clone.undo)
    assert everything(target) == before, changes(target, before)
