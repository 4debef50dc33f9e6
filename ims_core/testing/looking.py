"""What inspect answers."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface
from typing import TYPE_CHECKING
from uuid import uuid4

from ims_core.testing.needs import left_out

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ims_core.models import VM, Mark
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_broken_vm_spoils_no_answer",
    "test_a_foreign_vm_is_shown_without_a_mark",
    "test_addresses_are_matched_by_mac_with_their_source",
    "test_evidence_is_only_there_when_it_was_asked_for",
    "test_many_vms_are_inspected_by_name_and_uuid",
    "test_marks_that_are_known_change_no_answer",
    "test_nothing_asked_for_is_nothing_answered",
    "test_unknown_vms_are_left_out",
]


def test_many_vms_are_inspected_by_name_and_uuid(ims_target: Target, ims_bench: Bench) -> None:
    """14. inspect takes any number of VMs, by name or UUID.

    Mend: in `inspect`, compare each entry of `vms` with the names and the UUIDs of the VMs, and
    answer with each VM once, even if it was asked for by both.
    """
    orders = [ims_bench.created() for _ in range(3)]
    asked = [orders[0].name, orders[1].uuid, orders[2].uuid, orders[2].name]
    found = ims_target.provider.inspect(asked)
    assert sorted(vm.uuid for vm in found) == sorted(order.uuid for order in orders), (
        f"inspect({asked}) did not answer with each of these VMs once"
    )
    assert {order.uuid for order in orders} <= {vm.uuid for vm in ims_target.provider.inspect()}, (
        "inspect() leaves a VM out"
    )


def test_unknown_vms_are_left_out(ims_target: Target, ims_bench: Bench) -> None:
    """14. VMs that do not exist are left out of the answer.

    Mend: in `inspect` and `metrics`, skip what matches no VM. Raise no `NotFoundError` there, and
    catch the hypervisor's own.
    """
    order = ims_bench.created()
    asked = ["ims-kit-nobody", order.uuid, str(uuid4())]
    assert [vm.uuid for vm in ims_target.provider.inspect(asked)] == [order.uuid], (
        f"inspect({asked}) did not answer with just the one VM that exists"
    )
    assert list(ims_target.provider.inspect(["ims-kit-nobody"], evidence=True)) == [], (
        "inspect answers with a VM that does not exist"
    )
    assert list(ims_target.provider.metrics(["ims-kit-nobody", str(uuid4())])) == [], (
        "metrics answers with a VM that does not exist"
    )


def test_marks_that_are_known_change_no_answer(ims_target: Target, ims_bench: Bench) -> None:
    """14. inspect takes few requests: known marks may be used, and add or hide no VM.

    Mend: in `inspect`, find the VMs as if `known` were empty. Then use `known` only instead of
    reading the mark of a VM that you have found, or ignore it.
    """
    known, other = ims_bench.created(), ims_bench.created()
    complete = replace(known.mark, complete=True)
    ims_target.provider.write_mark(known.uuid, complete)
    marks = {known.uuid: complete, str(uuid4()): other.mark}
    assert _marks(ims_target.provider.inspect(known=marks)) == _marks(
        ims_target.provider.inspect()
    ), "inspect answers with other VMs or marks when it is given `known`"
    asked = [known.uuid, other.name]
    found = _marks(ims_target.provider.inspect(asked, known=marks))
    assert found == {known.uuid: complete, other.uuid: other.mark}, (
        "inspect answers with other VMs or marks when it is given `known`"
    )


def test_nothing_asked_for_is_nothing_answered(ims_target: Target, ims_bench: Bench) -> None:
    """14. inspect and metrics take any number of VMs, none included; only None means all.

    Mend: in `inspect` and `metrics`, ask `vms is None`, not `not vms`, and return an empty sequence
    for an empty collection.
    """
    if ims_target.expect_start:
        ims_bench.started()
    else:
        ims_bench.created()
    assert list(ims_target.provider.inspect([])) == [], "inspect([]) answers with VMs"
    assert list(ims_target.provider.metrics([])) == [], "metrics([]) answers with VMs"


def test_a_broken_vm_spoils_no_answer(ims_target: Target, ims_bench: Bench) -> None:
    """14. One broken VM never spoils the answer for the others.

    Mend: in `inspect`, catch errors for each VM by itself, say in its `problem` what is missing,
    and still read its mark. In `delete`, treat parts that are missing as removed.
    """
    if ims_target.break_vm is None:
        left_out("break_vm")
    broken, sound = ims_bench.created(), ims_bench.created()
    ims_bench.finally_(ims_target.break_vm(broken.uuid))
    found = {vm.uuid: vm for vm in ims_target.provider.inspect(evidence=True)}
    assert found[broken.uuid].problem, "inspect sees no problem in the VM that was damaged"
    assert found[broken.uuid].mark == broken.mark, "inspect shows the damaged VM without its mark"
    assert found[sound.uuid].mark == sound.mark, "inspect shows the sound VM without its mark"
    assert not found[sound.uuid].problem, "inspect sees a problem in the sound VM"
    ims_target.provider.metrics()
    ims_target.provider.delete(broken.uuid)
    assert not ims_bench.is_there(broken.uuid), "inspect still shows the damaged VM after delete"


def test_a_foreign_vm_is_shown_without_a_mark(ims_target: Target, ims_bench: Bench) -> None:
    """17. A VM without our mark is foreign, and inspect shows it.

    Mend: let `inspect` list all VMs of the hypervisor, and give those that have no mark of ours, or
    one that names another VM, `mark=None`.
    """
    name = ims_bench.foreign()
    found = ims_bench.look(name)
    assert found.mark is None, "a VM that somebody else made has a mark"
    assert found.memory != 0, "memory is 0: where it is not known it is None"
    assert found.vcpus != 0, "vcpus is 0: where they are not known it is None"
    assert name in [vm.name for vm in ims_target.provider.inspect()], (
        "inspect() leaves a foreign VM out"
    )


def test_evidence_is_only_there_when_it_was_asked_for(ims_bench: Bench) -> None:
    """14. inspect takes few requests: without evidence it asks for no addresses or receipts.

    Mend: in `inspect`, leave `addresses` empty and `receipt` None unless `evidence` is true, and do
    not ask for them.
    """
    vm = ims_bench.look(ims_bench.started().uuid)
    assert vm.addresses == (), "addresses came, though evidence was not asked for"
    assert vm.receipt is None, "a receipt came, though evidence was not asked for"


def test_addresses_are_matched_by_mac_with_their_source(
    ims_target: Target, ims_bench: Bench
) -> None:
    """16. Addresses are matched by MAC, each with its source; link-local ones are left out.

    Mend: in `inspect`, write MACs as the spec does, and drop addresses of other MACs and link-local
    ones. Give each a `source` that is named in `features.address_sources`. Let `inspect` with
    evidence work on a VM that is off as well.
    """
    order = ims_bench.started()
    vm = ims_bench.look(order.uuid, evidence=True)
    if ims_target.boots:
        vm = ims_bench.answered(order, order.delivery.nonce)
        assert vm.addresses, "the guest answered, and inspect shows no address of it"
    macs = {card.mac for card in order.spec.interfaces}
    for address in vm.addresses:
        assert address.mac in macs, f"no card of the VM has the MAC of {address}; they have {macs}"
        assert address.source in ims_target.provider.features.address_sources, (
            f"features.address_sources does not name the source of {address}"
        )
        assert not ip_interface(address.address).is_link_local, f"link-local: {address}"
    ims_target.provider.stop(order.uuid, force=True, timeout=30)
    ims_bench.look(order.uuid, evidence=True)


def _marks(vms: Iterable[VM]) -> dict[str, Mark | None]:
    return {vm.uuid: vm.mark for vm in vms}
