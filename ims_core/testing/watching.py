"""Hearing what happens to VMs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ims_core.models import ChangeKind
from ims_core.spi import Suspend, Watch
from ims_core.testing.needs import declared, left_out, needs_start

if TYPE_CHECKING:
    from ims_core.models import Change
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_restart_is_told_as_an_end_and_a_start",
    "test_a_vm_that_goes_on_was_not_started",
    "test_changes_that_were_not_waited_for_are_told_by_the_next_call",
    "test_waiting_for_changes_ends_in_its_time",
    "test_what_another_connection_does_is_told",
    "test_what_happened_before_the_first_call_is_not_told",
    "test_what_happens_is_told_once_and_in_order",
]

SECONDS = 10.0
SHORT = 0.3
POWER_OFF_SECONDS = 30.0


def test_what_happened_before_the_first_call_is_not_told(
    ims_target: Target, ims_bench: Bench
) -> None:
    """25. changes begins to listen with its first call, which returns nothing at once.

    Mend: in `changes`, register for the hypervisor's events at the first call, and return `[]`
    without waiting.
    """
    listener = declared(ims_target, Watch)
    needs_start(ims_target)
    order = ims_bench.started()
    begun = time.monotonic()
    first = listener.changes(SECONDS)
    assert not first, f"the first call tells of {first}"
    assert time.monotonic() - begun < SECONDS, "the first call waits"
    assert not _of(order.uuid, listener.changes(SHORT)), "what happened before is told"


def test_what_happens_is_told_once_and_in_order(ims_target: Target, ims_bench: Bench) -> None:
    """25. A call returns what has happened since the one before, in order, each thing once.

    Mend: in `changes`, keep what the hypervisor tells in a queue, translate a start and the end of
    a VM, whatever ended it, and take each thing out once.
    """
    listener = declared(ims_target, Watch)
    needs_start(ims_target)
    listener.changes(0)
    order = ims_bench.started()
    _heard(listener, order.uuid, ChangeKind.STARTED)
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    heard = _heard(listener, order.uuid, ChangeKind.STOPPED)
    assert len(heard) == 1, f"told besides the stop: {heard}"
    again = _of(order.uuid, listener.changes(SHORT))
    assert not again, f"told once more: {again}"


def test_changes_that_were_not_waited_for_are_told_by_the_next_call(
    ims_target: Target, ims_bench: Bench
) -> None:
    """25. What has happened since the call before is told, though nobody waited meanwhile.

    Mend: in `changes`, let the events be collected between two calls as well.
    """
    listener = declared(ims_target, Watch)
    needs_start(ims_target)
    listener.changes(0)
    order = ims_bench.started()
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    kinds = [each.kind for each in _heard(listener, order.uuid, ChangeKind.STOPPED)]
    assert kinds == [ChangeKind.STARTED, ChangeKind.STOPPED], f"told: {kinds}"


def test_a_restart_is_told_as_an_end_and_a_start(ims_target: Target, ims_bench: Bench) -> None:
    """25. A call returns what has happened since the one before, in order.

    Mend: in `changes`, keep the order in which the hypervisor tells; where you compare descriptions
    instead, tell of the end of the run before, then of the start.
    """
    listener = declared(ims_target, Watch)
    needs_start(ims_target)
    order = ims_bench.started()
    listener.changes(0)
    ims_target.provider.stop(order.uuid, force=True, timeout=POWER_OFF_SECONDS)
    ims_target.provider.start(order.uuid, None)
    kinds = [each.kind for each in _heard(listener, order.uuid, ChangeKind.STARTED)]
    assert kinds == [ChangeKind.STOPPED, ChangeKind.STARTED], f"told: {kinds}"


def test_what_another_connection_does_is_told(ims_target: Target, ims_bench: Bench) -> None:
    """25. changes tells what happens, whoever does it.

    Mend: ask the hypervisor for its events; do not note down what the provider itself does.
    """
    listener = declared(ims_target, Watch)
    needs_start(ims_target)
    if ims_target.settings is None:
        left_out("settings")
    order = ims_bench.created()
    listener.changes(0)
    with type(ims_target.provider).open(ims_target.settings) as second:
        second.start(order.uuid, order.delivery)
    (change,) = _heard(listener, order.uuid, ChangeKind.STARTED)
    assert abs(change.at - time.time()) < SECONDS, f"the time {change.at} is not now"


def test_waiting_for_changes_ends_in_its_time(ims_target: Target) -> None:
    """25. changes returns nothing when its time is over.

    Mend: in `changes`, wait on the queue with the timeout, and return `[]` when it is over.
    """
    listener = declared(ims_target, Watch)
    listener.changes(0)
    end = time.monotonic() + SECONDS
    while True:  # what others do to other VMs is told as well
        begun = time.monotonic()
        if not listener.changes(SHORT):
            break
        assert time.monotonic() < end, "something happens all the time"
    took = time.monotonic() - begun
    assert SHORT * 0.9 <= took < SHORT + SECONDS, f"it took {took:g} s instead of {SHORT:g}"


def test_a_vm_that_goes_on_was_not_started(ims_target: Target, ims_bench: Bench) -> None:
    """25. One that is suspended has not stopped, and one that goes on was not started.

    Mend: in `changes`, tell starts from power-on apart from those from saved memory, and leave out
    the end of a VM whose memory was saved.
    """
    listener, saver = declared(ims_target, Watch), declared(ims_target, Suspend)
    order = ims_bench.settled()
    listener.changes(0)
    saver.suspend(order.uuid)
    saver.resume(order.uuid)
    told: list[Change] = []
    end = time.monotonic() + 3 * SHORT
    while (left := end - time.monotonic()) > 0:
        told += _of(order.uuid, listener.changes(left))
    assert not told, f"suspend and resume are told as {[each.kind for each in told]}"


def _of(uuid: str, changes: object) -> list[Change]:
    return [each for each in changes if each.vm == uuid]  # type: ignore[attr-defined]


def _heard(listener: Watch, uuid: str, last: ChangeKind) -> list[Change]:
    """What is told of a VM, up to that."""
    found: list[Change] = []
    end = time.monotonic() + SECONDS
    while not found or found[-1].kind is not last:
        assert time.monotonic() < end, f"{last} is not told within {SECONDS:g} s; told: {found}"
        found += _of(uuid, listener.changes(1.0))
    return found
