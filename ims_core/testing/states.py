"""States: never lost, never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.models import State
from ims_core.testing.needs import left_out

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_vm_goes_through_its_states",
    "test_defined_and_stopped_are_told_apart",
    "test_every_state_is_one_of_ours",
    "test_what_others_do_to_a_vm_is_seen",
]


def test_every_state_is_one_of_ours(ims_target: Target, ims_bench: Bench) -> None:
    """15. A state is never lost or guessed: each maps to exactly one of ours.

    Mend: translate the hypervisor's states by one table, with `State.UNKNOWN` for what is not in
    it: `table.get(word, State.UNKNOWN)`.
    """
    ims_bench.created()
    for vm in ims_target.provider.inspect():
        assert isinstance(vm.state, State), f"{vm.name}: {vm.state!r}"


def test_a_vm_goes_through_its_states(ims_target: Target, ims_bench: Bench) -> None:
    """15. A state is never lost or guessed: listed alone or among all, it is the same.

    Mend: in `inspect`, find the state by the same code for one VM and for all, with evidence and
    without, and ask for it each time. Let `start` and `stop` return only when the hypervisor shows
    the new state.
    """
    order = ims_bench.started()
    for expected in (State.RUNNING, State.STOPPED):
        if expected is State.STOPPED:
            ims_target.provider.stop(order.uuid, force=True, timeout=30)
        listed = ims_bench.listed(order.uuid)
        assert listed.state is expected, f"the VM is not shown as {expected}"
        assert ims_bench.look(order.uuid).state is expected, f"the VM is not shown as {expected}"
        assert ims_bench.look(order.uuid, evidence=True).state is expected, (
            f"the VM is not shown as {expected}"
        )


def test_defined_and_stopped_are_told_apart(ims_target: Target, ims_bench: Bench) -> None:
    """15. A state is never lost: defined is what was never started, also after the mark changed.

    Mend: let the first `start` leave a trace in the hypervisor that stays when the mark is
    replaced. In `inspect`, answer `STOPPED` for a VM that is off and has this trace, else
    `DEFINED`; do not look at the mark's nonce.
    """
    order = ims_bench.created(starts=True)
    assert ims_bench.look(order.uuid).state is State.DEFINED, "a nonce in the mark is no start"
    if ims_target.expect_start:
        ims_target.provider.start(order.uuid, None)
        ims_target.provider.stop(order.uuid, force=True, timeout=30)
        assert ims_bench.look(order.uuid).state is State.STOPPED, "the VM is not shown as stopped"


def test_what_others_do_to_a_vm_is_seen(ims_target: Target, ims_bench: Bench) -> None:
    """15. A state is never lost or guessed, whoever brought the VM into it.

    Mend: in `inspect`, ask the hypervisor each time, and translate its words by one table; what is
    not in the table, and so of a later version of the hypervisor, is `State.UNKNOWN`.
    """
    if not ims_target.by_others:
        left_out("by_others")
    for state, bring in ims_target.by_others.items():
        order = ims_bench.started()
        assert ims_bench.look(order.uuid).state is State.RUNNING, "the VM is not shown as running"
        bring(order.uuid)
        for seen in (ims_bench.look(order.uuid), ims_bench.listed(order.uuid)):
            assert seen.state is state, f"a VM that is {state} now is shown as {seen.state}"
            assert seen.mark == order.mark, "inspect shows the VM without its mark"
        ims_target.provider.delete(order.uuid)
