"""Crash safety: what is announced, and what discard makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from ims_core.models import Resource
from ims_core.spi import Discarded, Provider
from ims_core.testing.bench import Crash, CrashingUndo, changes, everything, new_operation
from ims_core.undo import Undo

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench, Order
    from ims_core.testing.target import Target

__all__ = [
    "test_a_crash_at_any_announcement_leaves_nothing",
    "test_discard_is_idempotent",
    "test_discard_leaves_a_namesake_untouched",
    "test_discard_leaves_another_operations_name_untouched",
    "test_discarding_what_was_announced_leaves_nothing",
    "test_everything_is_announced_before_it_is_made",
    "test_names_contain_the_operation_id",
]

MOST_ANNOUNCEMENTS = 100


@dataclass
class WatchingUndo(Undo):
    """Looks, at each announcement, whether the thing is there already."""

    provider: Provider | None = None
    early: list[Resource] = field(default_factory=list)
    seen: list[Resource] = field(default_factory=list)

    def announce(self, kind: str, name: str) -> None:
        """Discard it: that must find nothing."""
        super().announce(kind, name)
        assert self.provider is not None
        resource = Resource(kind, name, self.operation)
        self.seen.append(resource)
        if self.provider.discard(resource) is not Discarded.ABSENT:
            self.early.append(resource)


def test_everything_is_announced_before_it_is_made(ims_target: Target, ims_bench: Bench) -> None:
    """6. Before anything is made, it is announced to the undo log.

    Mend: in `create`, call `undo.announce(kind, name)` right before the request that makes the
    thing, also for what the hypervisor makes along with it. Let `discard` know every kind and name
    that you announce.
    """
    order = ims_bench.order()
    watching = WatchingUndo(order.mark.operation, provider=ims_target.provider)
    order.undo = watching
    before = everything(ims_target)
    ims_bench.make(order)
    assert watching.seen, "nothing was announced"
    assert not watching.early, f"made before it was announced: {watching.early}"
    assert not ims_bench.look(order.uuid).problem, (
        "discard at each announcement took a part away that was announced too late, or it was never"
        " made"
    )
    ims_bench.roll_back(watching)
    assert everything(ims_target) == before, (
        f"made, and not announced: {changes(ims_target, before)}"
    )


def test_names_contain_the_operation_id(ims_bench: Bench) -> None:
    """6. It is announced under a name that contains the operation id, but for the VM itself.

    Mend: put `undo.operation` into the name of each disk, medium and reservation before you
    announce it. Announce the VM itself by its name or its UUID.
    """
    order = ims_bench.created()
    for resource in order.undo.announced:
        assert resource.operation == order.mark.operation, "announced for another operation"
        assert order.mark.operation in resource.name or _is_the_vm(resource, order), (
            f"announced under a name without the operation id: {resource}"
        )


@pytest.mark.parametrize("recorded", [True, False])
def test_a_crash_at_any_announcement_leaves_nothing(
    ims_target: Target, ims_bench: Bench, recorded: bool
) -> None:
    """7. If create raises, what it had made may remain: the service discards what was announced.

    Mend: in `create`, announce each thing before you make it. In `discard`, find it by its kind and
    name alone, remember nothing in the instance, and accept a thing that was never made, or only
    half.
    """
    before = everything(ims_target)
    for going_well in range(MOST_ANNOUNCEMENTS):
        order = ims_bench.order()
        undo = order.undo = CrashingUndo(order.mark.operation, left=going_well, recorded=recorded)
        try:
            ims_bench.make(order)
        except Crash:
            # As recovery in another process would, with nothing but the announcements.
            ims_bench.roll_back(undo)
            assert everything(ims_target) == before, (
                f"after a crash at announcement {going_well + 1} and discard:"
                f" {changes(ims_target, before)}"
            )
            assert not ims_bench.is_there(order.uuid), (
                "the VM is there after discard of all that was announced"
            )
        else:
            assert going_well > 0, "nothing was announced"
            return
    pytest.fail(f"more than {MOST_ANNOUNCEMENTS} announcements")


def test_discarding_what_was_announced_leaves_nothing(ims_target: Target, ims_bench: Bench) -> None:
    """9. discard removes one announced resource: together, everything that create made.

    Mend: in `discard`, remove the one resource, whether the other parts of the VM are still there
    or not, and return `REMOVED` if it was there, else `ABSENT`. In `create`, announce whatever is
    still left.
    """
    before = everything(ims_target)
    order = ims_bench.created()
    found = [ims_target.provider.discard(each) for each in reversed(order.undo.announced)]
    # What the hypervisor itself makes at the start is announced by create, and not there yet.
    assert Discarded.REMOVED in found, "discard removed nothing of what create had announced"
    assert Discarded.NOT_OURS not in found, f"discard said {found} to {order.undo.announced[::-1]}"
    assert everything(ims_target) == before, changes(ims_target, before)
    assert not ims_bench.is_there(order.uuid), (
        "the VM is there after discard of all that was announced"
    )


def test_discard_is_idempotent(ims_target: Target, ims_bench: Bench) -> None:
    """9. discard is idempotent, and says by its result what it found.

    Mend: in `discard`, look for the resource first and return `Discarded.ABSENT` if it is not
    there. Do not pass the hypervisor's "not found" on as an error.
    """
    order = ims_bench.created()
    announced = list(reversed(order.undo.announced))
    ims_bench.roll_back(order.undo)
    for resource in announced:
        found = ims_target.provider.discard(resource)
        assert found is Discarded.ABSENT, f"the second discard says {found} to {resource}"


def test_discard_leaves_a_namesake_untouched(ims_target: Target, ims_bench: Bench) -> None:
    """9. discard removes what carries that operation's id, and leaves a namesake untouched.

    Mend: in `discard`, compare `resource.operation` with the id in the thing's name, or with
    `mark.operation` if it is a VM. If they differ, or it is empty, remove nothing and return
    `Discarded.NOT_OURS`.
    """
    order = ims_bench.created()
    before, listing = ims_bench.look(order.uuid), everything(ims_target)
    for resource in order.undo.announced:
        own = order.mark.operation
        for operation in (new_operation(), "", own[1:], own[:-1]):
            found = ims_target.provider.discard(replace(resource, operation=operation))
            assert found is Discarded.NOT_OURS, (
                f"discard for the operation {operation!r} says {found} to {resource}"
            )
    assert ims_bench.look(order.uuid) == before, "the VM is not as it was before"
    assert everything(ims_target) == listing, changes(ims_target, listing)


def test_discard_leaves_another_operations_name_untouched(
    ims_target: Target, ims_bench: Bench
) -> None:
    """9. discard removes what carries that operation's id: a name that only looks like it stays.

    Mend: in `discard`, look for exactly `resource.name`, not for a part of it or for the VM's name
    in it, and return `Discarded.ABSENT` if there is nothing of that name.
    """
    order = ims_bench.created()
    before, listing = ims_bench.look(order.uuid), everything(ims_target)
    for resource in order.undo.announced:
        if order.mark.operation in resource.name:
            other = order.mark.operation[:-1] + ("0" if order.mark.operation[-1] != "0" else "1")
            name = resource.name.replace(order.mark.operation, other)
            absent = replace(resource, name=name, operation=other)
            found = ims_target.provider.discard(absent)
            assert found is Discarded.ABSENT, (
                f"discard says {found} to {absent}, which was never made"
            )
    assert ims_bench.look(order.uuid) == before, "the VM is not as it was before"
    assert everything(ims_target) == listing, changes(ims_target, listing)


def _is_the_vm(resource: Resource, order: Order) -> bool:
    return resource.name in (order.name, order.uuid)
