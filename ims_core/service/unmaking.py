"""Leaving nothing of a VM that is not to be: for a create that fails, and for recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.errors import ImsError
from ims_core.undo import Left

if TYPE_CHECKING:
    from ims_core.models import Mark
    from ims_core.service.operations import Journal
    from ims_core.service.session import Session

__all__ = ["undo_create"]


def undo_create(
    session: Session, journal: Journal, vm: str, *, incomplete: Mark | None = None
) -> Left:
    """Leave nothing of a VM that is not to be; returns what had to be left.

    Args:
        session: Its pool.
        journal: What was announced.
        vm: Its UUID.
        incomplete: The mark to give it first, if the one it has may say that it is complete:
            whoever finds it half removed must not take it for that.
    """
    if incomplete is not None:
        try:
            if any(each.mark and each.mark.complete for each in session.provider.inspect([vm])):
                session.provider.write_mark(vm, incomplete)
        except Exception as error:  # noqa: BLE001 - whatever it is, recovery will decide
            return Left(ours=(f"all of it: {error}",))
    left = session.roll_back(journal)
    return left if left.ours else Left(_forgotten(session, vm).ours, left.foreign)


def _forgotten(session: Session, vm: str) -> Left:
    try:
        session.store.forget(vm)
    except ImsError as error:
        return Left(ours=(f"its record: {error}",))
    return Left()
