"""Create: reserve, make, start, wait, and mark complete as the last write.

Whatever fails on the way is undone: everything the provider announced is discarded.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ims_core.errors import (
    CancelledError,
    ConflictError,
    ImsError,
    NotFoundError,
    UnavailableError,
)
from ims_core.models import Wait
from ims_core.service.allocation import Allocation
from ims_core.service.events import Event, Phase
from ims_core.service.operations import Kind, new_operation, recorded
from ims_core.service.order import completed, drafted
from ims_core.service.patience import patiently
from ims_core.service.requests import made_before
from ims_core.service.unmaking import undo_create
from ims_core.service.waiting import Expected, wait_for
from ims_core.store import Intent, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_core.models import VM, Delivery, Mark, VMSpec
    from ims_core.service.operations import Running
    from ims_core.service.order import Order, Ready
    from ims_core.service.session import Session
    from ims_core.service.waiting import Deadline
    from ims_core.spi import UndoLog

__all__ = ["Way", "create", "create_new", "prepare"]


@dataclass(frozen=True, slots=True)
class Way:
    """How a VM comes to be.

    Attributes:
        kind: The verb; see :class:`ims_core.service.operations.Kind`.
        origin: What it is made from, for people.
        make: Has the provider make it, as :meth:`ims_core.spi.Provider.create` does.
    """

    kind: str
    origin: str
    make: Callable[[VMSpec, Delivery, Mark, UndoLog], None]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is asked for, and the choice of what its cards get that ask for no address."""

    order: Order
    draft: VMSpec
    way: Way
    allocation: Allocation
    operation: str


@dataclass
class _Attempt:
    """A create under way: what is made, and whether its mark may say by now that it is."""

    plan: _Plan
    ready: Ready
    completing: bool = False


def prepare(session: Session, order: Order, deadline: Deadline) -> Ready:
    """Complete and check an order, as :func:`create` does. Makes and records nothing."""
    plan = _planned(session, order)
    return _fitted(session, plan, deadline, plan.allocation.look)


def create(session: Session, order: Order, deadline: Deadline) -> VM:
    """Make a VM as ordered, or leave nothing of it; one for each request.

    Raises:
        ImsError: Anything that went wrong; its details name what could not be undone.
    """
    while True:
        if order.request and (made := made_before(session, order, deadline)):
            return made
        try:
            return create_new(session, order, deadline)
        except ConflictError as error:
            if error.code != "request-known":  # by somebody who was quicker
                raise


def create_new(
    session: Session,
    order: Order,
    deadline: Deadline,
    begun: Callable[[], None] = lambda: None,
    way: Way | None = None,
) -> VM:
    """The same for a request that has made none yet.

    Args:
        session: The pool.
        order: The VM.
        deadline: For all of it.
        begun: Called once it is recorded.
        way: How it is made; out of its template if None.

    Raises:
        ConflictError: ``request-known``: somebody else was quicker with it.
    """
    session.tell(Event(Phase.VALIDATE, "checking the order"))
    plan = _planned(session, order, way)
    attempt = _Attempt(plan, _fitted(session, plan, deadline, plan.allocation.look))
    name, uuid, looked_at = plan.draft.name, plan.draft.uuid, plan.allocation.cards
    with (
        session.hold(uuid, name),
        recorded(
            session,
            plan.way.kind,
            name,
            operation=plan.operation,
            vm=uuid,
            request=order.request,
            goal=order.digest if order.request else "",
            claim=plan.allocation.claim,
            undo=lambda running, error: _failed(running, attempt, error),
        ) as running,
    ):
        begun()
        if plan.allocation.cards != looked_at:  # others were quicker, so it got other addresses

            def claim_again() -> None:
                session.store.reserve(uuid, plan.allocation.claim)

            attempt.ready = _fitted(running.session, plan, deadline, claim_again)
        vm = _make(running, attempt, deadline)
    session.report(Event(Phase.DONE, f"{name} is {order.wait}"))
    return replace(vm, pool=session.pool.name)


def _planned(session: Session, order: Order, way: Way | None = None) -> _Plan:
    draft = drafted(session, order)
    way = way or Way(Kind.CREATE, f"template {draft.template.name}", session.provider.create)
    allocation = Allocation(session, draft, order.context.interfaces)
    allocation.look()
    return _Plan(order, draft, way, allocation, new_operation())


def _fitted(
    session: Session, plan: _Plan, deadline: Deadline, choose_again: Callable[[], None]
) -> Ready:
    """With the addresses that were chosen; others as long as the hypervisor knows their users."""
    while True:
        cards = plan.allocation.cards
        try:
            return completed(session, plan.order, plan.draft, cards, plan.operation)
        except ConflictError as error:
            if error.code != "address-taken" or not plan.allocation.chooses:
                raise
        deadline.check("no free address was found yet")
        plan.allocation.avoid()
        choose_again()


def _make(running: Running, attempt: _Attempt, deadline: Deadline) -> VM:
    session, ready, wait = running.session, attempt.ready, attempt.plan.order.wait
    spec, way = ready.spec, attempt.plan.way
    session.store.save_intent(
        Intent(
            spec.uuid,
            session.pool.name,
            spec.name,
            ready.delivery.layout,
            ready.delivery.carrier,
            ready.context,
            ready.mark,
        )
    )
    _refuse_leaving(session, spec.template.name)
    session.tell(Event(Phase.CREATE, f"creating {spec.name} from {way.origin}"))
    deadline.check("nothing was made yet")
    way.make(spec, ready.delivery, ready.mark, running.journal)
    if wait is not Wait.DEFINED:
        deadline.check(f"{spec.name} was created but not started")
        session.tell(Event(Phase.START, f"starting {spec.name}"))
        patiently(lambda: session.provider.start(spec.uuid, ready.delivery), deadline)
    expected = Expected(ready.delivery.digest, ready.delivery.nonce)
    vm = wait_for(session, spec.uuid, wait, expected, deadline)
    deadline.check(f"{spec.name} came as far as asked, but late")
    # From here on nobody can cancel it: it would be told of, and be there.
    session.report(Event(Phase.COMPLETE, f"{spec.name} is complete"))
    complete = replace(ready.mark, complete=True)
    attempt.completing = True
    patiently(lambda: session.provider.write_mark(spec.uuid, complete), deadline)
    session.store.save_mark(complete)
    return replace(vm, mark=complete)


def _refuse_leaving(session: Session, template: str) -> None:
    """Refuse a template that is being deleted: whoever does that looks for users before.

    Each records first and looks then, so at least one of the two sees the other.
    """
    for each in session.store.operations(session.pool.name, unfinished=True):
        if (each.kind, each.subject) == (Kind.DELETE_TEMPLATE, template):
            raise NotFoundError(
                f"template {template!r} is being deleted",
                code="template-not-found",
                pool=session.pool.name,
                hint="choose another template",
            )


def _failed(running: Running, attempt: _Attempt, error: BaseException) -> Outcome:
    """Leave nothing of the VM; what must be left is named in the error."""
    session, journal, spec = running.session, running.journal, attempt.ready.spec
    name = spec.name
    if isinstance(error, ImsError):
        error.vm = error.vm or name
        error.pool = error.pool or session.pool.name
    cancelled = isinstance(error, CancelledError) or not isinstance(error, Exception)
    incomplete = attempt.ready.mark if attempt.completing else None
    if attempt.plan.order.keep and journal.announced and not cancelled:
        if incomplete is not None:
            with suppress(ImsError):
                session.provider.write_mark(spec.uuid, incomplete)
        told = f"{name} is kept for a look; `ims recover {journal.operation}` removes it"
        session.report(Event(Phase.DONE, told, warning=True))
        return Outcome.KEPT
    session.report(Event(Phase.ROLL_BACK, f"removing what was made of {name}"))
    # What was given up while the hypervisor hung may still come: recovery looks again.
    hanging = isinstance(error, UnavailableError) and bool(journal.announced)
    left = undo_create(session, journal, spec.uuid, incomplete=incomplete)
    if isinstance(error, ImsError):
        error.details += tuple(f"left behind: {each}" for each in left.all)
    told = f"left behind: {'; '.join(left.all)}" if left.all else "nothing was left behind"
    session.report(Event(Phase.ROLL_BACK, told, warning=bool(left.all)))
    return Outcome.UNFINISHED if left.ours or hanging else Outcome.FAILED
