"""Adopting a VM: from then on IMS manages what somebody else, or another store, has made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError
from ims_core.models import Mark
from ims_core.service.addresses import claim_of_what_is_free, promises_of
from ims_core.service.events import Event, Phase
from ims_core.service.operations import Kind, recorded
from ims_core.service.order import whoami

if TYPE_CHECKING:
    from ims_core.models import VM
    from ims_core.service.session import Session

__all__ = ["adopt", "remember"]


def adopt(session: Session, name: str) -> VM:
    """Give a VM this store's mark. Nothing else of it is changed.

    A foreign VM's disks stay its owner's: ``delete-vm`` removes its definition only.

    Raises:
        NotFoundError: ``vm-not-found``.
        ConflictError: ``vm-busy``: another store is still creating it.
    """
    vm = session.find(name)
    with (
        session.hold(vm.uuid, vm.name),
        recorded(session, Kind.ADOPT, vm.name, vm=vm.uuid) as running,
    ):
        vm = running.session.find(vm.uuid)
        if vm.mark is not None and not vm.mark.complete:
            raise ConflictError(
                f"VM {vm.name!r} is not complete, so whoever creates it may still be at it",
                code="vm-busy",
                vm=vm.name,
                pool=session.pool.name,
                hint="delete it if its create was cut short",
            )
        made = vm.mark or Mark("", "", vm.uuid, complete=True, owner=whoami())
        mark = replace(made, store=session.store.id)
        if mark != vm.mark:
            running.session.provider.write_mark(vm.uuid, mark)
        remember(session, vm.uuid, mark)
    session.report(Event(Phase.DONE, f"{vm.name} is adopted"))
    return replace(vm, mark=mark, pool=session.pool.name)


def remember(session: Session, vm: str, mark: Mark) -> None:
    """Reserve the addresses that a mark says its VM was promised, as far as they are free."""
    promises = promises_of(session, vm, mark)
    session.store.reserve(vm, claim_of_what_is_free(session, promises))
