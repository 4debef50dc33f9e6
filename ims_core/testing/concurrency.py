"""Several calls at the same time."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import ConflictError
from ims_core.models import State
from ims_core.testing.bench import MeddlingUndo

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench, Order
    from ims_core.testing.target import Target

__all__ = [
    "test_a_forced_stop_ends_one_that_waits",
    "test_a_name_that_is_taken_meanwhile_is_refused",
    "test_looking_meanwhile_shows_every_vm_whole",
    "test_many_vms_are_made_at_the_same_time",
    "test_of_two_creates_at_once_one_gets_the_name",
]

AT_ONCE = 4
LONG = 60.0


MOST_ANNOUNCEMENTS = 100


AS_LONG_AS_A_CREATE = 5.0
A_MOMENT = 0.5


def test_many_vms_are_made_at_the_same_time(ims_target: Target, ims_bench: Bench) -> None:
    """2. Any method may be called from any thread, for different VMs at the same time.

    Mend: keep what a call needs in local variables. Guard what calls share, such as a connection or
    a cache, by a lock, or give each thread its own. Put the operation id into the names of
    temporary files.
    """
    orders = [ims_bench.order() for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(ims_bench.make, orders))
        found = ims_target.provider.inspect([order.uuid for order in orders])
        assert {vm.uuid: vm.mark for vm in found} == {each.uuid: each.mark for each in orders}, (
            "not every VM that was made is there with its own mark"
        )
        marks = {each.uuid: replace(each.mark, complete=True) for each in orders}
        list(pool.map(ims_target.provider.write_mark, marks, marks.values()))
        found = ims_target.provider.inspect([order.uuid for order in orders])
        assert {vm.uuid: vm.mark for vm in found} == marks, (
            "not every VM has the mark that was written at the same time as the others'"
        )
        list(pool.map(lambda order: ims_target.provider.delete(order.uuid), orders))
    assert not ims_target.provider.inspect([order.uuid for order in orders]), (
        "inspect still shows VMs that were deleted at the same time"
    )


def test_a_name_that_is_taken_meanwhile_is_refused(ims_target: Target, ims_bench: Bench) -> None:
    """8. create refuses a name that is taken, however late: of two, exactly one gets it.

    Mend: in `create`, take the name in one step: by a request that the hypervisor refuses for a
    name that is taken, or by looking and defining under one lock. Raise `ConflictError`
    (`vm-exists`) for the other call, and leave the first one's parts alone.
    """
    for announcement in range(MOST_ANNOUNCEMENTS):
        first = ims_bench.order()
        second = ims_bench.order(ims_bench.spec(name=first.name))
        with ThreadPoolExecutor(1) as background:
            results: list[Future[str]] = []

            def rival(order: Order = second, results: list[Future[str]] = results) -> None:
                results.append(background.submit(_attempt, ims_bench, order))
                # A provider that makes one VM at a time lets the rival wait, and may do so.
                wait(results, timeout=AS_LONG_AS_A_CREATE)

            first.undo = undo = MeddlingUndo(first.mark.operation, left=announcement, meddle=rival)
            outcome = _attempt(ims_bench, first)
            if undo.left >= 0:  # there are no more announcements to meddle with
                ims_target.provider.delete(first.uuid)
                return
        assert sorted([outcome, results[0].result()]) == ["made", "vm-exists"], (
            "of two create calls with one name, not one was `made` and the other `vm-exists`"
        )
        (winner,) = (order for order in (first, second) if order.made)
        assert [vm.uuid for vm in ims_target.provider.inspect([first.name])] == [winner.uuid], (
            "inspect by the name does not show the one VM that was made"
        )
        assert not ims_bench.look(winner.uuid).problem, "inspect sees a problem in the VM"
        ims_target.provider.delete(winner.uuid)
    pytest.fail(f"more than {MOST_ANNOUNCEMENTS} announcements")


def test_of_two_creates_at_once_one_gets_the_name(ims_target: Target, ims_bench: Bench) -> None:
    """8. create refuses a name that is taken: of two at the same time, exactly one gets it.

    Mend: in `create`, take the name in one step: never look for it first and take it later.
    """
    first = ims_bench.order()
    second = ims_bench.order(ims_bench.spec(name=first.name))
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda order: _attempt(ims_bench, order), (first, second)))
    assert sorted(outcomes) == ["made", "vm-exists"], (
        "of two create calls with one name, not one was `made` and the other `vm-exists`"
    )
    (winner,) = (order for order in (first, second) if order.made)
    assert [vm.uuid for vm in ims_target.provider.inspect([first.name])] == [winner.uuid], (
        "inspect by the name does not show the one VM that was made"
    )


def test_looking_meanwhile_shows_every_vm_whole(ims_target: Target, ims_bench: Bench) -> None:
    """2. Calls for different VMs may run at the same time: looking is never spoilt by making.

    Mend: in `inspect`, expect that VMs come and go between the list and the reading of each: leave
    out one that has gone, and go on with the others. Make and remove VMs without rewriting what
    others share.
    """
    steady, provider = ims_bench.created(), ims_target.provider
    seen = ims_bench.listed(steady.uuid)
    orders = [ims_bench.order() for _ in range(2)]

    def live(order: Order) -> None:
        ims_bench.make(order)
        provider.delete(order.uuid)

    with ThreadPoolExecutor(1) as background:
        made = [background.submit(live, order) for order in orders]
        while not all(each.done() for each in made):
            assert [vm for vm in provider.inspect() if vm.uuid == steady.uuid] == [seen], (
                "while others were made, inspect() did not show a VM as it was"
            )
        for each in made:
            each.result()


def test_a_forced_stop_ends_one_that_waits(ims_target: Target, ims_bench: Bench) -> None:
    """2. A forced stop may come at any time, 11. and one that waited sees that the VM is off.

    Mend: in `stop` without `force`, hold no lock while you wait, look at the state at least every
    second, and return as soon as the VM is off. In `stop` with `force`, do not wait for other
    calls.
    """
    order, provider = ims_bench.started(), ims_target.provider
    deaf = ims_target.deafen or nullcontext
    with deaf(), ThreadPoolExecutor(1) as background:
        waiting = background.submit(provider.stop, order.uuid, force=False, timeout=LONG)
        if ims_target.deafen is not None:
            assert not wait([waiting], timeout=A_MOMENT).done, "stop did not wait for the guest"
        began = time.monotonic()
        provider.stop(order.uuid, force=True, timeout=LONG)
        waiting.result(timeout=LONG)
        assert time.monotonic() - began < LONG / 2, "it waited on for a VM that was off"
    assert ims_bench.look(order.uuid).state is State.STOPPED, "the VM is not shown as stopped"


def _attempt(bench: Bench, order: Order) -> str:
    """Make an order, or take it back; says which."""
    try:
        bench.make(order)
    except ConflictError as error:
        bench.roll_back(order.undo)
        return error.code
    return "made"
