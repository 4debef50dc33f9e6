"""What a VM is after the hypervisor has failed, and that the same call can be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from ims_core.errors import BusyError, ImsError
from ims_core.models import State
from ims_core.spi import Clone, LiveContext, Pause, Snapshots, Suspend
from ims_core.testing.bench import changes, everything, new_operation
from ims_core.testing.context import first_live
from ims_core.testing.needs import declared, left_out, needs_start
from ims_core.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_core.testing.bench import Bench, Order
    from ims_core.testing.target import Target

__all__ = [
    "test_a_clone_that_fails_leaves_its_source_alone",
    "test_a_create_that_fails_says_so_and_can_be_discarded",
    "test_a_delete_that_fails_keeps_the_mark_and_can_be_repeated",
    "test_a_restore_that_fails_can_be_repeated",
    "test_a_resume_that_fails_keeps_the_memory",
    "test_a_start_that_fails_leaves_a_delivery_that_the_mark_names",
    "test_a_suspend_that_fails_leaves_the_vm_running",
    "test_an_update_that_fails_leaves_a_delivery_that_the_mark_names",
    "test_what_is_busy_is_done_when_it_is_asked_for_again",
]

POWER_OFF_SECONDS = 30.0


class Deed(NamedTuple):
    """A call that may be repeated when it was busy."""

    state: State
    """Of the VM before it."""
    done: State | None
    """Of the VM afterwards; None if it is gone."""


_SOONER_OR_LATER = pytest.mark.parametrize("late", [False, True], ids=["early", "late"])

DEEDS = {
    "start": Deed(State.DEFINED, State.RUNNING),
    "stop": Deed(State.RUNNING, State.STOPPED),
    "suspend": Deed(State.RUNNING, State.SUSPENDED),
    "resume": Deed(State.SUSPENDED, State.RUNNING),
    "pause": Deed(State.RUNNING, State.PAUSED),
    "delete": Deed(State.DEFINED, None),
    "write_mark": Deed(State.DEFINED, State.DEFINED),
    "set_addresses": Deed(State.DEFINED, State.DEFINED),
    "update_context": Deed(State.RUNNING, State.RUNNING),
    "restore_snapshot": Deed(State.DEFINED, State.DEFINED),
    "delete_snapshot": Deed(State.DEFINED, State.DEFINED),
}
"""Those that the third sentence names."""


@_SOONER_OR_LATER
def test_a_create_that_fails_says_so_and_can_be_discarded(
    ims_target: Target, ims_bench: Bench, late: bool
) -> None:
    """7. If create raises, what it had made may remain: what was announced is discarded.

    Mend: in `create`, let the error out, as it came or as an `ImsError` with the cause in its
    words, and clean up nothing. Do not retract an announcement of what may have been made.
    """
    before, order = everything(ims_target), ims_bench.order()
    _fails(ims_target, "create", late, lambda: ims_bench.make(order))
    ims_bench.roll_back(order.undo)
    assert everything(ims_target) == before, changes(ims_target, before)


@_SOONER_OR_LATER
def test_a_clone_that_fails_leaves_its_source_alone(
    ims_target: Target, ims_bench: Bench, late: bool
) -> None:
    """23. The source of a clone stays as it was, 7. also if clone raises.

    Mend: in `clone`, only read the source, and clean nothing up after an error: `discard` removes
    what was announced.
    """
    provider = declared(ims_target, Clone)
    source, clone = ims_bench.created(), ims_bench.order()
    seen, before = ims_bench.look(source.uuid, evidence=True), everything(ims_target)
    _fails(
        ims_target,
        "clone",
        late,
        lambda: provider.clone(source.uuid, clone.spec, clone.delivery, clone.mark, clone.undo),
    )
    assert ims_bench.look(source.uuid, evidence=True) == seen, "the source is not as it was"
    ims_bench.roll_back(clone.undo)
    assert everything(ims_target) == before, changes(ims_target, before)


@_SOONER_OR_LATER
def test_a_start_that_fails_leaves_a_delivery_that_the_mark_names(
    ims_target: Target, ims_bench: Bench, late: bool
) -> None:
    """10. A mark that has a nonce says that this delivery is in place, 13. and it stays there.

    Mend: in `start`, write `digest` and `nonce` into the mark when the new delivery is in place and
    not before, and take no delivery away after an error.
    """
    order = ims_bench.started()
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    second = ims_bench.delivery(order.spec, changed="yes")
    _fails(ims_target, "start", late, lambda: ims_target.provider.start(order.uuid, second))
    assert ims_bench.look(order.uuid).state is State.STOPPED, "the VM is not shown as stopped"
    _is_in_place(ims_target, ims_bench, order)


@_SOONER_OR_LATER
def test_an_update_that_fails_leaves_a_delivery_that_the_mark_names(
    ims_target: Target, ims_bench: Bench, late: bool
) -> None:
    """20. What the VM has stays whole until the new one is; repeated it comes to the same end.

    Mend: in `update_context`, make the new delivery beside the old one, then write the mark, then
    remove the old one. After an error leave the VM running with what it has.
    """
    provider = declared(ims_target, LiveContext)
    order = ims_bench.started(carrier=first_live(ims_target))
    second = ims_bench.delivery(order.spec, first_live(ims_target), changed="yes")
    _fails(ims_target, "update_context", late, lambda: provider.update_context(order.uuid, second))
    assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    _is_in_place(ims_target, ims_bench, order)
    provider.update_context(order.uuid, second)
    assert ims_bench.mark(order.uuid).nonce == second.nonce, (
        "the mark does not have the nonce of the new delivery"
    )


@_SOONER_OR_LATER
def test_a_suspend_that_fails_leaves_the_vm_running(
    ims_target: Target, ims_bench: Bench, late: bool
) -> None:
    """21. If suspend fails, the VM keeps running, and nothing of it is saved.

    Mend: in `suspend`, let the VM's CPUs run again after an error, and remove what was saved by
    then.
    """
    provider = declared(ims_target, Suspend)
    order = ims_bench.settled()
    before = everything(ims_target)
    _fails(ims_target, "suspend", late, lambda: provider.suspend(order.uuid))
    assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"
    assert everything(ims_target) == before, changes(ims_target, before)


@_SOONER_OR_LATER
def test_a_resume_that_fails_keeps_the_memory(
    ims_target: Target, ims_bench: Bench, late: bool
) -> None:
    """21. If resume fails, the VM's memory stays saved.

    Mend: in `resume`, remove what was saved last of all, when the VM's CPUs run.
    """
    provider = declared(ims_target, Suspend)
    order = ims_bench.settled()
    provider.suspend(order.uuid)
    before = everything(ims_target)
    _fails(ims_target, "resume", late, lambda: provider.resume(order.uuid))
    assert ims_bench.look(order.uuid).state is State.SUSPENDED, "the VM is not shown as suspended"
    assert everything(ims_target) == before, changes(ims_target, before)
    provider.resume(order.uuid)
    assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"


@_SOONER_OR_LATER
def test_a_restore_that_fails_can_be_repeated(
    ims_target: Target, ims_bench: Bench, late: bool
) -> None:
    """22. restore_snapshot and delete_snapshot, repeated after a failure, come to the same end.

    Mend: in `restore_snapshot`, only read the snapshot. In `delete_snapshot`, remove what makes it
    known last of all.
    """
    provider = declared(ims_target, Snapshots)
    order = ims_bench.created()
    before = everything(ims_target)
    provider.take_snapshot(order.uuid, "first", Undo(new_operation()))
    with_it = everything(ims_target)
    _fails(
        ims_target, "restore_snapshot", late, lambda: provider.restore_snapshot(order.uuid, "first")
    )
    provider.restore_snapshot(order.uuid, "first")
    assert everything(ims_target) == with_it, changes(ims_target, with_it)
    _fails(
        ims_target, "delete_snapshot", late, lambda: provider.delete_snapshot(order.uuid, "first")
    )
    provider.delete_snapshot(order.uuid, "first")
    assert not provider.list_snapshots(order.uuid), "list_snapshots still shows it"
    assert everything(ims_target) == before, changes(ims_target, before)


@_SOONER_OR_LATER
def test_a_delete_that_fails_keeps_the_mark_and_can_be_repeated(
    ims_target: Target, ims_bench: Bench, late: bool
) -> None:
    """12. delete removes the mark last, and succeeds when the VM is half gone.

    Mend: in `delete`, remove the disks, media and memory first and what the mark is kept in last,
    and treat parts that are missing as removed.
    """
    before, order = everything(ims_target), ims_bench.created()
    _fails(ims_target, "delete", late, lambda: ims_target.provider.delete(order.uuid))
    if ims_bench.is_there(order.uuid) or everything(ims_target) != before:
        assert ims_bench.mark(order.uuid) == order.mark, "what is left has not the VM's mark"
    ims_target.provider.delete(order.uuid)
    assert everything(ims_target) == before, changes(ims_target, before)


@pytest.mark.parametrize("method", DEEDS)
def test_what_is_busy_is_done_when_it_is_asked_for_again(
    ims_target: Target, ims_bench: Bench, method: str
) -> None:
    """3. Where the hypervisor calls it busy, BusyError is raised, and the call can be repeated.

    Mend: translate the hypervisor's words for busy and locked to `BusyError` before anything is
    changed, or after it was changed back, so that the same call succeeds later.
    """
    if ims_target.busy is None:
        left_out("busy")
    deed = DEEDS[method]
    order = _prepared(ims_target, ims_bench, method, deed.state)
    call = _call(ims_target, ims_bench, method, order)
    with ims_target.busy(method):
        with pytest.raises(BusyError):
            call()
        assert ims_bench.look(order.uuid).state is deed.state, f"it is not {deed.state} any more"
        call()
    if deed.done is None:
        assert not ims_bench.is_there(order.uuid), "inspect still shows the VM"
    else:
        assert ims_bench.look(order.uuid).state is deed.done, f"the VM is not {deed.done}"


def _prepared(target: Target, bench: Bench, method: str, state: State) -> Order:
    """A VM on which this method can be called."""
    carrier = first_live(target) if method == "update_context" else ""
    if state is not State.DEFINED or method == "start":
        needs_start(target)
    if state is State.DEFINED:
        order = bench.created(starts=True)
    else:
        order = bench.started(carrier=carrier) if carrier else bench.settled()
    if state is State.SUSPENDED:
        declared(target, Suspend).suspend(order.uuid)
    if method.endswith("_snapshot"):
        declared(target, Snapshots).take_snapshot(order.uuid, "first", Undo(new_operation()))
    return order


def _call(target: Target, bench: Bench, method: str, order: Order) -> Callable[[], object]:
    """The method with what it is given."""
    provider, vm = target.provider, order.uuid
    second = bench.delivery(order.spec, order.delivery.carrier, changed="yes")
    calls: dict[str, Callable[[], object]] = {
        "start": lambda: provider.start(vm, order.delivery),
        "stop": lambda: provider.stop(vm, force=True, timeout=POWER_OFF_SECONDS),
        "suspend": lambda: declared(target, Suspend).suspend(vm),
        "resume": lambda: declared(target, Suspend).resume(vm),
        "pause": lambda: declared(target, Pause).pause(vm),
        "delete": lambda: provider.delete(vm),
        "write_mark": lambda: provider.write_mark(vm, order.mark),
        "set_addresses": lambda: provider.set_addresses(vm, order.spec.interfaces),
        "update_context": lambda: declared(target, LiveContext).update_context(vm, second),
        "restore_snapshot": lambda: declared(target, Snapshots).restore_snapshot(vm, "first"),
        "delete_snapshot": lambda: declared(target, Snapshots).delete_snapshot(vm, "first"),
    }
    return calls[method]


def _is_in_place(target: Target, bench: Bench, order: Order) -> None:
    """What the mark names is what the VM, which is off, starts with."""
    mark = bench.mark(order.uuid)
    target.provider.start(order.uuid, None)
    if target.boots:
        receipt = bench.answered(order, mark.nonce).receipt
        assert receipt is not None
        assert not receipt.problem(digest=mark.digest, nonce=mark.nonce), (
            "what the guest read is not what the mark names"
        )


def _fails(target: Target, method: str, late: bool, call: Callable[[], object]) -> None:
    if target.fails is None:
        left_out("fails")
    with target.fails(method, late), pytest.raises(ImsError):
        call()
