"""The same request given twice: it makes one VM, and both callers get it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, DeadlineError, NotFoundError
from ims_core.service.events import Event, Phase
from ims_core.service.operations import Kind
from ims_core.service.recovery import recover
from ims_core.store import Outcome

if TYPE_CHECKING:
    from ims_core.models import VM
    from ims_core.service.order import Order
    from ims_core.service.session import Session
    from ims_core.service.waiting import Deadline
    from ims_core.store import Operation

__all__ = ["made_before"]


def made_before(session: Session, order: Order, deadline: Deadline) -> VM | None:
    """The VM that this request has made; None when it has not made any, or not to the end.

    Raises:
        ConflictError: ``request-mismatch``: it ordered something else; ``request-spent``: its VM
            was deleted; ``request-unfinished``: it failed, and something of it is still there.
        DeadlineError: Another process is at it for too long.
    """
    known = session.store.operation(order.request)
    while known is not None and known.outcome is not Outcome.FAILED:
        _refuse_other(session, order, known)
        if known.outcome is Outcome.DONE:
            return _made(session, known)
        if known.outcome is not Outcome.KEPT:
            deadline.check(f"the same request, as operation {known.id}, could not be ended")
            _wait(session, known, deadline)
            recover(session, [known.id])
            known = session.store.operation(order.request)
        if known is not None and known.outcome in (Outcome.UNFINISHED, Outcome.KEPT):
            raise ConflictError(
                f"request {order.request!r} failed, and something of it is still there",
                code="request-unfinished",
                operation=known.id,
                hint=f"`ims show-operation {known.id}` shows what;"
                f" `ims recover {known.id}` removes it",
            )
    return None


def _refuse_other(session: Session, order: Order, known: Operation) -> None:
    same = (known.kind, known.pool, known.goal) == (Kind.CREATE, session.pool.name, order.digest)
    if not same:
        raise ConflictError(
            f"request {order.request!r} was given before, with another order",
            code="request-mismatch",
            operation=known.id,
            hint="give another order another id",
        )


def _made(session: Session, known: Operation) -> VM:
    try:
        vm = session.find(known.vm, evidence=True)
    except NotFoundError:
        raise ConflictError(
            f"the VM that request {known.request!r} made, {known.subject!r}, was deleted",
            code="request-spent",
            vm=known.subject,
            operation=known.id,
            hint="give a new request a new id",
        ) from None
    session.report(Event(Phase.DONE, f"{vm.name} was made by this request before"))
    return replace(vm, pool=session.pool.name)


def _wait(session: Session, known: Operation, deadline: Deadline) -> None:
    """Until nobody is at it any more: its lock is held as long as somebody is."""
    session.tell(Event(Phase.WAIT, f"the same request is at work as operation {known.id}"))
    try:
        with session.store.lock(known.id, seconds=deadline.left):
            pass
    except TimeoutError:
        raise DeadlineError(
            f"operation {known.id} of the same request did not end in time",
            operation=known.id,
            hint="give it more time with --timeout",
        ) from None
