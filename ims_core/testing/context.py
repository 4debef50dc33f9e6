"""Carriers, and telling a running guest again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import ConflictError, UnsupportedError
from ims_core.models import Carrier, State
from ims_core.spi import LiveContext, Suspend
from ims_core.testing.bench import changes, everything
from ims_core.testing.needs import declared, declared_carrier, undeclared

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_delivery_by_each_carrier_is_read",
    "test_a_running_vm_is_told_again_and_answers",
    "test_a_vm_that_is_off_is_not_told_again",
    "test_an_equal_context_is_told_again_if_its_delivery_is_new",
    "test_only_live_carriers_tell_again",
    "test_telling_the_same_again_comes_to_the_same_end",
    "test_what_was_told_again_stays_for_the_next_start",
]

POWER_OFF_SECONDS = 30.0
# The firmware's tables hold a line, and no whole context that a guest could answer for.
_CARRIERS = pytest.mark.parametrize(
    "carrier", [each for each in Carrier if each is not Carrier.SMBIOS], ids=str
)


@_CARRIERS
def test_a_delivery_by_each_carrier_is_read(
    ims_target: Target, ims_bench: Bench, carrier: Carrier
) -> None:
    """10. start puts the delivery in place, by whichever carrier the provider declares.

    Mend: in `create` and `start`, put the delivery in place in the way of `delivery.carrier`: the
    bytes of `medium` unchanged, the `files`, or all of the `values`. Leave a carrier that guests
    cannot read here out of `features.carriers`.
    """
    declared_carrier(ims_target, carrier)
    order = ims_bench.started(carrier=carrier)
    receipt = ims_bench.answered(order, order.delivery.nonce).receipt
    assert receipt is not None
    assert not receipt.problem(digest=order.delivery.digest, nonce=order.delivery.nonce), (
        "the receipt does not fit the delivery"
    )


@_CARRIERS
def test_a_running_vm_is_told_again_and_answers(
    ims_target: Target, ims_bench: Bench, carrier: Carrier
) -> None:
    """20. update_context puts a delivery in place of the running VM's; the VM keeps running.

    Mend: in `update_context`, make the new delivery beside the old one, show it to the guest, write
    its `digest` and `nonce` into the mark, and then remove the old one. Do not restart the guest.
    """
    provider = _live(ims_target, carrier)
    order = ims_bench.started(carrier=carrier)
    ims_bench.answered(order, order.delivery.nonce)
    before, used = everything(ims_target), ims_bench.cpu_seconds(order)
    second = ims_bench.delivery(order.spec, carrier, changed="yes")
    provider.update_context(order.uuid, second)
    assert ims_bench.cpu_seconds(order) >= used, "the guest was started anew"
    mark = ims_bench.mark(order.uuid)
    assert (mark.digest, mark.nonce) == (second.digest, second.nonce), (
        "the mark does not have the digest and the nonce of the new delivery"
    )
    vm = ims_bench.answered(order, second.nonce)
    assert vm.state is State.RUNNING, "the VM is not shown as running"
    assert vm.receipt is not None
    assert not vm.receipt.problem(digest=second.digest, nonce=second.nonce), (
        "the receipt does not fit the new delivery"
    )
    assert len(everything(ims_target)) == len(before), (
        f"the old delivery must go: {changes(ims_target, before)}"
    )


def test_an_equal_context_is_told_again_if_its_delivery_is_new(
    ims_target: Target, ims_bench: Bench
) -> None:
    """20. A delivery is put in place of another one, though both say the same.

    Mend: in `update_context`, go by the delivery's `nonce`, not by its `digest`.
    """
    provider = _live(ims_target)
    order = ims_bench.started(carrier=first_live(ims_target))
    again = ims_bench.delivery(order.spec, first_live(ims_target))
    provider.update_context(order.uuid, again)
    assert ims_bench.mark(order.uuid).nonce == again.nonce, (
        "the mark does not have the nonce of the new delivery"
    )
    ims_bench.answered(order, again.nonce)


def test_telling_the_same_again_comes_to_the_same_end(ims_target: Target, ims_bench: Bench) -> None:
    """20. update_context, repeated after a failure, comes to the same end.

    Mend: in `update_context`, look at what an earlier call has done already (the nonce in the mark,
    a medium that is there), do the rest, and return without an error if there is none.
    """
    provider = _live(ims_target)
    order = ims_bench.started(carrier=first_live(ims_target))
    second = ims_bench.delivery(order.spec, first_live(ims_target), changed="yes")
    provider.update_context(order.uuid, second)
    provider.update_context(order.uuid, second)
    mark = ims_bench.mark(order.uuid)
    assert (mark.digest, mark.nonce) == (second.digest, second.nonce), (
        "the mark does not have the digest and the nonce of the new delivery"
    )
    vm = ims_bench.look(order.uuid)
    assert (vm.state, vm.problem) == (State.RUNNING, ""), (
        "inspect does not show the VM as running without a problem"
    )


def test_what_was_told_again_stays_for_the_next_start(ims_target: Target, ims_bench: Bench) -> None:
    """13. The delivery stays with the VM, also one that came while it ran.

    Mend: in `update_context`, change not only what the running guest sees, but also what the VM
    will start with: its stored definition, or its stored values.
    """
    provider = _live(ims_target)
    order = ims_bench.started(carrier=first_live(ims_target))
    second = ims_bench.delivery(order.spec, first_live(ims_target), changed="yes")
    provider.update_context(order.uuid, second)
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    ims_target.provider.start(order.uuid, None)
    receipt = ims_bench.answered(order, second.nonce).receipt
    assert receipt is not None
    assert receipt.digest == second.digest, "the guest did not read what it was told while it ran"


def test_a_vm_that_is_off_is_not_told_again(ims_target: Target, ims_bench: Bench) -> None:
    """20. update_context is for a running VM; on one that is off it raises ConflictError.

    Mend: in `update_context`, look at the VM's state first, and if it is off, raise `ConflictError`
    (`vm-not-running`) before you change its delivery or its mark.
    """
    provider = _live(ims_target)
    order = ims_bench.created(carrier=first_live(ims_target))
    with pytest.raises(ConflictError) as caught:
        provider.update_context(order.uuid, order.delivery)
    assert caught.value.code == "vm-not-running", f"the error's code is {caught.value.code!r}"
    if ims_target.expect_start and isinstance(ims_target.provider, Suspend):
        order = ims_bench.settled()
        ims_target.provider.suspend(order.uuid)
        with pytest.raises(ConflictError):
            provider.update_context(
                order.uuid, ims_bench.delivery(order.spec, first_live(ims_target))
            )
    assert ims_bench.mark(order.uuid) == order.mark, (
        "the mark has changed, though the delivery was refused"
    )


@_CARRIERS
def test_only_live_carriers_tell_again(
    ims_target: Target, ims_bench: Bench, carrier: Carrier
) -> None:
    """20. A carrier that is not declared as live is refused, and the VM keeps what it has.

    Mend: in `update_context`, look at the delivery's carrier first, and if its limits do not say
    `live`, raise `UnsupportedError` (`carrier-impossible`) before you change anything.
    """
    provider = declared(ims_target, LiveContext)
    carriers = ims_target.provider.features.carriers
    if carrier in carriers:
        declared_carrier(ims_target, carrier)
        if carriers[carrier].live:
            undeclared(f"carrier {carrier} that is not live")
        order = ims_bench.started(carrier=carrier)
        delivery = ims_bench.delivery(order.spec, carrier, changed="yes")
    else:
        order = ims_bench.started()
        delivery = replace(ims_bench.delivery(order.spec, changed="yes"), carrier=carrier)
    with pytest.raises(UnsupportedError):
        provider.update_context(order.uuid, delivery)
    assert ims_bench.mark(order.uuid) == order.mark, (
        "the mark has changed, though the delivery was refused"
    )


def first_live(target: Target) -> Carrier:
    limits = target.provider.features.carriers
    found = [carrier for carrier in limits if limits[carrier].live]
    if not found:
        undeclared("a live carrier")
    return found[0]


def _live(target: Target, carrier: Carrier | None = None) -> LiveContext:
    """The provider, if it can tell a running VM by this carrier, or by any."""
    provider = declared(target, LiveContext)
    carrier = carrier or first_live(target)
    declared_carrier(target, carrier)
    if not target.provider.features.carriers[carrier].live:
        undeclared(f"live carrier {carrier}")
    return provider
