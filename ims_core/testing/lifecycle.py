"""From an order to a VM, and to nothing again."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ims_core.errors import ConflictError
from ims_core.models import Mark, State
from ims_core.testing.bench import changes, everything, new_operation
from ims_core.testing.needs import left_out

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_copy_that_others_made_is_not_ours",
    "test_a_foreign_namesake_is_refused_and_untouched",
    "test_a_mark_is_replaced_whole",
    "test_a_namesake_is_refused_and_untouched",
    "test_a_vm_that_was_adopted_is_seen_as_ours_and_deleted",
    "test_create_leaves_the_vm_defined_with_its_mark",
    "test_delete_is_idempotent",
    "test_delete_leaves_other_vms_alone",
    "test_delete_removes_a_running_vm",
    "test_nothing_is_printed_in_a_whole_life",
    "test_plan_makes_nothing",
    "test_prepare_makes_nothing_and_completes",
    "test_prepare_refuses_a_name_that_is_taken",
    "test_the_uuid_is_ours",
]


def test_prepare_makes_nothing_and_completes(ims_target: Target, ims_bench: Bench) -> None:
    """4. prepare makes nothing, and returns the spec completed.

    Mend: in `prepare`, only read. Fill in the `network` of each card, leave MACs and all other
    fields as they came, and return the result of `dataclasses.replace(spec, interfaces=…)`.
    """
    before = everything(ims_target)
    spec = ims_bench.spec()
    ready = ims_target.provider.prepare(spec)
    assert everything(ims_target) == before, changes(ims_target, before)
    assert not ims_bench.is_there(spec.uuid), "prepare made the VM"
    assert replace(ready, interfaces=spec.interfaces) == spec, "prepare changed the order"
    assert [card.mac for card in ready.interfaces] == [card.mac for card in spec.interfaces], (
        "prepare changed MACs"
    )
    assert all(card.network for card in ready.interfaces), (
        f"a card without a network: {ready.interfaces}"
    )


def test_plan_makes_nothing(ims_target: Target, ims_bench: Bench) -> None:
    """4. plan makes nothing, and is the artefact that create would submit.

    Mend: in `plan`, build the text by the same code that `create` uses, with the VM's name in it,
    and send nothing to the hypervisor.
    """
    before = everything(ims_target)
    order = ims_bench.order()
    plan = ims_target.provider.plan(order.spec, order.delivery, order.mark)
    assert everything(ims_target) == before, changes(ims_target, before)
    assert order.name in plan, "the plan does not name the VM"


@pytest.mark.parametrize("starts", [False, True])
def test_create_leaves_the_vm_defined_with_its_mark(ims_bench: Bench, starts: bool) -> None:
    """5. create leaves the VM defined and not running, with the mark it was given.

    Mend: in `create`, give the VM the name, memory (in bytes) and CPUs of the spec and the whole
    mark, and do not start it. In `inspect`, answer `State.DEFINED` until the first start, whatever
    nonce the mark has.
    """
    order = ims_bench.created(starts=starts)
    vm = ims_bench.look(order.uuid)
    assert vm.name == order.name, "inspect shows another name than was ordered"
    assert vm.state is State.DEFINED, "the VM is not shown as defined"
    assert vm.mark == order.mark, "inspect shows another mark than create was given"
    assert vm.memory == order.spec.memory, "inspect shows another memory than was ordered, in bytes"
    assert vm.vcpus == order.spec.vcpus, "inspect shows another number of CPUs than was ordered"
    assert not vm.problem, "inspect sees a problem in the VM"


def test_the_uuid_is_ours(ims_bench: Bench) -> None:
    """17. A VM is named by its UUID (ours) in every call.

    Mend: in `create`, give the VM `spec.uuid`; where the hypervisor chooses UUIDs, keep ours in the
    mark. Let `inspect` find the VM by this UUID and by its name, and answer with this UUID.
    """
    order = ims_bench.created()
    assert ims_bench.look(order.uuid).uuid == order.uuid, "inspect by UUID shows another UUID"
    assert ims_bench.look(order.name).uuid == order.uuid, "inspect by name shows another UUID"


def test_a_mark_is_replaced_whole(ims_target: Target, ims_bench: Bench) -> None:
    """5. The VM has the mark it was given; write_mark replaces it, every field of it.

    Mend: in `write_mark`, write all fields of the mark at once, and escape or encode them so that
    quotes, brackets and letters beyond ASCII come back. In `inspect`, undo exactly that, for
    example by JSON and `Mark.from_dict`.
    """
    order = ims_bench.created()
    mark = Mark(
        store='another store: "quotes", <brackets> & ünïcode',
        operation=order.mark.operation,
        vm=order.uuid,
        complete=True,
        owner="Zoë & 'co' <zoë@example.org>",
        template="another-template",
        digest="sha256:" + "0" * 64,
        nonce="another-nonce",
        addresses="a-network=192.0.2.9 another=2001:db8::9",
    )
    assert all(getattr(mark, each.name) for each in fields(Mark)), "a field is not tried"
    ims_target.provider.write_mark(order.uuid, mark)
    assert ims_bench.mark(order.uuid) == mark, "the mark is not as write_mark was given it"
    ims_target.provider.write_mark(order.uuid, order.mark)
    assert ims_bench.mark(order.uuid) == order.mark, (
        "the mark is not as write_mark was given it last"
    )


def test_a_copy_that_others_made_is_not_ours(ims_target: Target, ims_bench: Bench) -> None:
    """17. A VM without our mark is foreign: so is one that carries the mark of another VM.

    Mend: keep in the mark, or with it, which VM it is of. In `inspect`, compare that, and give
    `mark=None` if it differs: somebody has copied the VM with all that the hypervisor keeps for it.
    """
    if ims_target.copy_vm is None:
        left_out("copy_vm")
    order = ims_bench.created()
    seen = ims_bench.look(order.uuid)
    known = {vm.uuid for vm in ims_target.provider.inspect()}
    remove = ims_target.copy_vm(order.uuid)
    try:
        assert ims_bench.look(order.uuid) == seen, "inspect shows the VM that was copied otherwise"
        copies = [vm for vm in ims_target.provider.inspect() if vm.uuid not in known]
        assert copies, "inspect does not show the copy"
        assert all(vm.mark is None for vm in copies), f"inspect takes a copy for ours: {copies}"
    finally:
        remove()


def test_prepare_refuses_a_name_that_is_taken(ims_target: Target, ims_bench: Bench) -> None:
    """8. A name that is taken is refused with vm-exists, before anything is made.

    Mend: in `prepare`, look for a VM called `spec.name`, and if there is one, raise `ConflictError`
    with the code `vm-exists`.
    """
    order = ims_bench.created()
    with pytest.raises(ConflictError) as caught:
        ims_target.provider.prepare(ims_bench.spec(name=order.name))
    assert caught.value.code == "vm-exists", f"the error's code is {caught.value.code!r}"


def test_a_namesake_is_refused_and_untouched(ims_target: Target, ims_bench: Bench) -> None:
    """8. create refuses a name that is taken, and leaves the namesake as it was.

    Mend: in `create`, look for the name once more before you make anything, and raise
    `ConflictError` (`vm-exists`). Turn the hypervisor's own refusal into the same error. In
    `discard`, go by the operation id, never by the VM's name alone.
    """
    late = ims_bench.order()  # prepared while the name was still free
    first = ims_bench.created(ims_bench.spec(name=late.name))
    before, listing = ims_bench.look(first.uuid), everything(ims_target)
    with pytest.raises(ConflictError) as caught:
        ims_bench.make(late)
    assert caught.value.code == "vm-exists", f"the error's code is {caught.value.code!r}"
    ims_bench.roll_back(late.undo)
    assert ims_bench.look(first.uuid) == before, "the VM that has the name is not as it was"
    assert everything(ims_target) == listing, changes(ims_target, listing)


def test_a_foreign_namesake_is_refused_and_untouched(ims_target: Target, ims_bench: Bench) -> None:
    """8. create leaves the namesake as it was, also one that somebody else made.

    Mend: in `prepare` and `create`, compare the name with those of all VMs of the hypervisor, with
    our mark or without, and raise `ConflictError` (`vm-exists`). In `discard`, leave a VM without
    our mark alone.
    """
    name = ims_bench.foreign()
    before, listing = ims_bench.look(name), everything(ims_target)
    with pytest.raises(ConflictError) as caught:
        ims_target.provider.prepare(ims_bench.spec(name=name))
    assert caught.value.code == "vm-exists", f"the error's code is {caught.value.code!r}"
    order = ims_bench.order()
    order.spec = replace(order.spec, name=name)
    with pytest.raises(ConflictError) as caught:
        ims_bench.make(order)
    assert caught.value.code == "vm-exists", f"the error's code is {caught.value.code!r}"
    ims_bench.roll_back(order.undo)
    assert ims_bench.look(name) == before, "the VM that has the name is not as it was"
    assert everything(ims_target) == listing, changes(ims_target, listing)


def test_a_vm_that_was_adopted_is_seen_as_ours_and_deleted(
    ims_target: Target, ims_bench: Bench
) -> None:
    """12. A mark without an operation is that of a VM that was adopted.

    Mend: let `write_mark` work on a VM that has no mark yet, and accept an empty `operation` when
    `inspect` reads it. In `delete`, remove the definition and the mark of such a VM, and leave its
    disks.
    """
    before = everything(ims_target)
    vm = ims_bench.look(ims_bench.foreign())
    mark = Mark(ims_target.store_id, "", vm.uuid, complete=True)
    ims_target.provider.write_mark(vm.uuid, mark)
    adopted = ims_bench.look(vm.uuid)
    assert adopted.mark == mark, "the mark is not as write_mark was given it"
    assert not adopted.problem, "inspect sees a problem in the VM"
    assert [each.problem for each in ims_target.provider.inspect() if each.uuid == vm.uuid] == [
        ""
    ], "inspect of all VMs leaves it out, or sees a problem"
    ims_target.provider.delete(vm.uuid)
    assert not ims_bench.is_there(vm.uuid), "inspect still shows the VM"
    assert everything(ims_target) == before, changes(ims_target, before)


def test_delete_is_idempotent(ims_target: Target, ims_bench: Bench) -> None:
    """12. delete succeeds when it is already gone.

    Mend: in `delete`, look for each part before you remove it, treat "not found" as done, and
    return when there is no such VM.
    """
    order = ims_bench.created()
    ims_target.provider.delete(order.uuid)
    assert not ims_bench.is_there(order.uuid), "inspect still shows the VM"
    ims_target.provider.delete(order.uuid)
    ims_target.provider.delete(str(uuid4()))


def test_delete_removes_a_running_vm(ims_target: Target, ims_bench: Bench) -> None:
    """12. delete removes a VM that is off or on, with everything that was made for it.

    Mend: in `delete`, take the power away if the VM is on, then remove its disks, its delivery and
    its reservations, and last its definition with the mark. Look at the list of what is left for
    the part that was forgotten.
    """
    before = everything(ims_target)
    order = ims_bench.started()
    ims_target.provider.delete(order.uuid)
    assert not ims_bench.is_there(order.uuid), "inspect still shows the VM"
    assert everything(ims_target) == before, changes(ims_target, before)


def test_delete_leaves_other_vms_alone(ims_target: Target, ims_bench: Bench) -> None:
    """12. delete removes a VM with what was made for it, and nothing of another one.

    Mend: in `delete`, find all parts of this VM by their whole names, or by the operation id in its
    mark; never by the beginning of a name.
    """
    kept = ims_bench.created()
    before, listing = ims_bench.look(kept.uuid), everything(ims_target)
    # A name that begins with the other's: nothing may be found by its beginning.
    gone = ims_bench.created(ims_bench.spec(name=kept.name[:-1]))
    ims_target.provider.delete(gone.uuid)
    assert ims_bench.look(kept.uuid) == before, "the other VM is not as it was"
    assert everything(ims_target) == listing, changes(ims_target, listing)


def test_nothing_is_printed_in_a_whole_life(
    ims_target: Target, ims_bench: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    """18. A provider never prints, neither by itself nor by a library.

    Mend: remove each `print`, capture what child processes write to stdout and stderr, and turn off
    what the hypervisor's library prints, for example by an error handler of your own.
    """
    capfd.readouterr()
    provider = ims_target.provider
    order = ims_bench.created()
    with pytest.raises(ConflictError):
        provider.prepare(ims_bench.spec(name=order.name))
    provider.plan(order.spec, order.delivery, order.mark)
    provider.inspect([order.uuid, str(uuid4())], evidence=True)
    provider.metrics()
    if ims_target.expect_start:
        provider.start(order.uuid, order.delivery)
        with pytest.raises(ConflictError):
            provider.start(order.uuid, None)
        provider.stop(order.uuid, force=True, timeout=30)
    provider.delete(order.uuid)
    for resource in order.undo.announced:
        provider.discard(replace(resource, operation=new_operation()))
    assert capfd.readouterr() == ("", ""), "something was printed, to stdout or stderr"
