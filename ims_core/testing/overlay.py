"""The second medium of a delivery, for the layouts that have one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_core.models import State
from ims_core.spi import LiveContext
from ims_core.testing.bench import Crash, CrashingUndo, changes, everything
from ims_core.testing.needs import declared, declared_carrier, left_out, needs_start, undeclared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.models import Carrier, Delivery
    from ims_core.testing.bench import Bench, Order
    from ims_core.testing.target import Target

__all__ = [
    "test_a_crash_while_two_media_are_made_leaves_nothing",
    "test_a_running_vm_gets_the_second_medium_anew",
    "test_a_start_puts_both_media_in_place",
    "test_a_vm_is_made_with_both_media",
    "test_telling_twice_by_a_second_medium_leaves_one",
]

POWER_OFF_SECONDS = 30.0
BLOCK = 2048  # a CD's
FIRST, SECOND = (bytes([number]) * 8 * BLOCK for number in (1, 2))
MOST_ANNOUNCEMENTS = 100


def test_a_vm_is_made_with_both_media(ims_target: Target, ims_bench: Bench) -> None:
    """5. create leaves the VM with the delivery in place, both of its media.

    Mend: in `create`, announce and make a second volume for `delivery.overlay`, if it is not empty,
    and put it into a drive after the first one's.
    """
    order = _made(ims_target, ims_bench)
    _has(ims_target, order, order.delivery.medium, FIRST)


def test_a_start_puts_both_media_in_place(ims_target: Target, ims_bench: Bench) -> None:
    """10. start puts the delivery in place, both of its media.

    Mend: in `start`, write `delivery.medium` and `delivery.overlay` before the VM runs.
    """
    needs_start(ims_target)
    order = _made(ims_target, ims_bench)
    second = replace(_delivery(ims_target, ims_bench, order), overlay=SECOND)
    ims_target.provider.start(order.uuid, second)
    _has(ims_target, order, second.medium, SECOND)
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    _has(ims_target, order, second.medium, SECOND)


def test_a_running_vm_gets_the_second_medium_anew(ims_target: Target, ims_bench: Bench) -> None:
    """20. Where there are two media, the first stays, and the second is new.

    Mend: in `update_context`, if the delivery has an `overlay`, exchange the second drive's medium
    instead of the first one's, for the running VM and for its stored definition.
    """
    live, order = _running(ims_target, ims_bench)
    second = replace(_delivery(ims_target, ims_bench, order), overlay=SECOND)
    before = everything(ims_target)
    live.update_context(order.uuid, second)
    vm = ims_bench.look(order.uuid)
    assert vm.state is State.RUNNING, f"the VM is {vm.state} afterwards"
    assert vm.mark is not None
    assert (vm.mark.digest, vm.mark.nonce) == (second.digest, second.nonce), (
        "the mark does not have the digest and the nonce of the new delivery"
    )
    _has(ims_target, order, order.delivery.medium, SECOND)
    assert len(everything(ims_target)) == len(before), (
        f"the old medium must go: {changes(ims_target, before)}"
    )
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    _has(ims_target, order, order.delivery.medium, SECOND)


def test_telling_twice_by_a_second_medium_leaves_one(ims_target: Target, ims_bench: Bench) -> None:
    """20. update_context, repeated, comes to the same end, with a second medium too.

    Mend: in `update_context`, remove what an earlier call left before you make the new medium.
    """
    live, order = _running(ims_target, ims_bench)
    second = replace(_delivery(ims_target, ims_bench, order), overlay=SECOND)
    before = everything(ims_target)
    live.update_context(order.uuid, second)
    live.update_context(order.uuid, second)
    _has(ims_target, order, order.delivery.medium, SECOND)
    assert len(everything(ims_target)) == len(before), (
        f"one second medium is enough: {changes(ims_target, before)}"
    )


def test_a_crash_while_two_media_are_made_leaves_nothing(
    ims_target: Target, ims_bench: Bench
) -> None:
    """7. If create raises, what it had made may remain: the service discards what was announced.

    Mend: announce the second medium as you announce the first, and let `discard` know its kind.
    """
    carrier = _carrier(ims_target)
    before = everything(ims_target)
    for going_well in range(MOST_ANNOUNCEMENTS):
        order = ims_bench.order(carrier=carrier, overlay=FIRST)
        undo = order.undo = CrashingUndo(order.mark.operation, left=going_well)
        try:
            ims_bench.make(order)
        except Crash:
            ims_bench.roll_back(undo)
            assert everything(ims_target) == before, (
                f"after a crash at announcement {going_well + 1} and discard:"
                f" {changes(ims_target, before)}"
            )
        else:
            return
    pytest.fail(f"more than {MOST_ANNOUNCEMENTS} announcements")


def _made(target: Target, bench: Bench, *, starts: bool = False) -> Order:
    carrier = _carrier(target)
    if target.read_media is None:
        left_out("read_media")
    order = bench.order(starts=starts, carrier=carrier, overlay=FIRST)
    bench.make(order)
    return order


def _running(target: Target, bench: Bench) -> tuple[LiveContext, Order]:
    live = declared(target, LiveContext)
    if not target.provider.features.carriers[_carrier(target)].live:
        undeclared("a live carrier with two media")
    needs_start(target)
    order = _made(target, bench, starts=True)
    target.provider.start(order.uuid, order.delivery)
    return live, order


def _delivery(target: Target, bench: Bench, order: Order) -> Delivery:
    return bench.delivery(order.spec, _carrier(target), changed="yes")


def _carrier(target: Target) -> Carrier:
    limits = target.provider.features.carriers
    found = next((each for each in limits if limits[each].overlay), None)
    if found is None:
        undeclared("a carrier with two media")
    declared_carrier(target, found)
    return found


def _has(target: Target, order: Order, *media: bytes) -> None:
    """That these are in its drives; a drive may be larger than what is in it."""
    assert target.read_media is not None
    found: Sequence[bytes] = target.read_media(order.uuid)
    assert len(found) == len(media), f"the VM has {len(found)} media, not {len(media)}"
    for number, (has, wanted) in enumerate(zip(found, media, strict=True), 1):
        assert has[: len(wanted)] == wanted, f"medium {number} is not the one of the delivery"
