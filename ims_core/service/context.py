"""A VM's context after it was made: showing it, and telling the guest another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ims_bootparams.redaction import redacted
from ims_bootparams.validation import check_context
from ims_core.errors import ConflictError, ImsError, InvalidError, UnsupportedError
from ims_core.models import Carrier, ShownContext, State, Wait
from ims_core.registry import layout as load_layout
from ims_core.service.delivery import OVERLAY, check_wait, choose, deliver, digest_for, rendered
from ims_core.service.events import Event, Phase
from ims_core.service.lifecycle import OFF, changing, context_pending, refuse_unfinished
from ims_core.service.operations import Kind
from ims_core.service.patience import patiently
from ims_core.service.session import BUSY_SECONDS
from ims_core.service.waiting import Deadline, Expected, wait_for
from ims_core.spi import LiveContext, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_bootparams.layouts import Layout
    from ims_core.models import VM, Context, Delivery
    from ims_core.service.session import Session
    from ims_core.store import Intent

__all__ = ["renew", "show", "tell_again", "update"]

_FIXED = {
    "instance_id": "It is the VM's UUID for all its life.",
    "interfaces": "`ims set-ip` changes addresses.",
    "default_user": "The template names it.",
}


def show(session: Session, name: str, *, layout: str, reveal: bool) -> ShownContext:
    """What a VM would be told at its next start, in its own layout or another."""
    vm, _ = session.find_ours(name)
    intent = session.intent_of(vm)
    chosen, carrier = choose(
        session.provider.features,
        intent.layout,
        layout=layout,
        carrier="" if layout else intent.carrier,
    )
    context = intent.context
    return ShownContext(
        vm.name,
        chosen.name,
        carrier,
        chosen.label if carrier.is_medium else "",
        digest_for(context, chosen),
        rendered(context if reveal else redacted(context), chosen),
    )


def update(
    session: Session,
    name: str,
    change: Callable[[Context], Context],
    wait: Wait | None,
    deadline: Deadline,
) -> VM:
    """Change what a VM is told: at once where it runs and can be told, else from its next start.

    The new context is kept before the guest is told, so whatever fails, doing it again or starting
    the VM comes to it. Where there are two media only a start does: nobody knows then what of the
    new context the first one holds.
    """
    with changing(session, Kind.UPDATE, name, deadline.left) as (running, vm, mark):
        refuse_unfinished(session, vm, mark)
        intent = session.intent_of(vm)
        layout = load_layout(intent.layout)
        context = _changed(intent.context, change)
        live = _is_live(session, vm, intent, layout) and (
            layout.overlay is None or _is_in_overlay(vm, intent, context, layout)
        )
        wait = _how_far(session, wait, context, layout, live=live)
        delivery = deliver(context, layout, Carrier(intent.carrier), session.provider.features)
        deadline.check("nothing was changed")
        running.aim(delivery.digest)
        session.store.save_intent(replace(intent, context=context))
        if live:
            _tell_guest(running.session, vm, delivery)
            session.store.save_mark(replace(mark, digest=delivery.digest, nonce=delivery.nonce))
    if not live:
        told = "pending until next start" if vm.state not in OFF else "takes effect at next start"
        session.report(Event(Phase.DONE, f"the context of {vm.name}: {told}"))
        pending = context_pending(vm, replace(intent, context=context))
        return replace(vm, pool=session.pool.name, context_pending=pending)
    vm = wait_for(session, vm.uuid, wait, Expected(delivery.digest, delivery.nonce), deadline)
    done = "applied" if wait is Wait.READY else "delivered"
    session.report(Event(Phase.DONE, f"the context of {vm.name} is {done}"))
    return replace(vm, pool=session.pool.name)


def tell_again(session: Session, vm: VM, *, known: bool = False) -> bool:
    """Tell a running guest what it is meant to know; whether that was done.

    Args:
        session: Its pool.
        vm: As it is now.
        known: Tell it also what it knows by its mark: a renewal that was cut short may have shown
            it a nonce that nobody remembers.
    """
    intent = session.store.intent(vm.uuid)
    if intent is None or vm.mark is None:
        return False
    layout, pending = load_layout(intent.layout), context_pending(vm, intent)
    if not (pending or known) or not _is_live(session, vm, intent, layout):
        return False
    if pending and layout.overlay:
        return False  # what the first of two media holds may have changed as well
    features = session.provider.features
    delivery = deliver(intent.context, layout, Carrier(intent.carrier), features)
    _tell_guest(session, vm, delivery)
    session.store.save_mark(replace(vm.mark, digest=delivery.digest, nonce=delivery.nonce))
    return True


def renew(session: Session, name: str) -> Expected:
    """Tell a running guest once more what it is meant to know.

    Returns:
        What it will answer; with an empty nonce, if no answer will come.

    Raises:
        ConflictError: ``vm-busy``; ``vm-not-running``; ``context-pending``: what the first of two
            media holds has changed as well.
        UnsupportedError: ``carrier-impossible``: its guest looks at its start only.
    """
    with changing(session, Kind.UPDATE, name, BUSY_SECONDS) as (running, vm, mark):
        refuse_unfinished(session, vm, mark)
        intent = session.intent_of(vm)
        context, layout = intent.context, load_layout(intent.layout)
        _refuse_renewal(session, vm, intent, layout)
        features = session.provider.features
        delivery = deliver(context, layout, Carrier(intent.carrier), features)
        running.aim(delivery.nonce)  # the digest is as it was
        _tell_guest(running.session, vm, delivery)
        session.store.save_mark(replace(mark, digest=delivery.digest, nonce=delivery.nonce))
    answers = features.receipts and layout.answers(context)
    return Expected(delivery.digest, delivery.nonce if answers else "")


def _refuse_renewal(session: Session, vm: VM, intent: Intent, layout: Layout) -> None:
    if not _is_heard(session, intent, layout):
        raise UnsupportedError(
            f"VM {vm.name!r} reads its context at its next start only",
            code="carrier-impossible",
            vm=vm.name,
            hint="docs/context.md tells which layouts are read while a guest runs",
        )
    if vm.state is not State.RUNNING:
        raise ConflictError(
            f"VM {vm.name!r} is not running",
            code="vm-not-running",
            vm=vm.name,
            hint="its next start tells it",
        )
    if layout.overlay is not None and context_pending(vm, intent):
        raise ConflictError(
            f"what VM {vm.name!r} reads from the first of its two media has changed, and that one"
            " stays as it is while the VM runs",
            code="context-pending",
            vm=vm.name,
            hint=f"`ims reboot-vm {vm.name}` tells it all",
        )


def _changed(context: Context, change: Callable[[Context], Context]) -> Context:
    changed = change(context)
    for field, hint in _FIXED.items():
        if getattr(changed, field) != getattr(context, field):
            raise InvalidError(f"context.{field}: it cannot be changed here", hint=hint)
    check_context(changed)
    return changed


def _is_live(session: Session, vm: VM, intent: Intent, layout: Layout) -> bool:
    """Whether the guest can be told now, and will notice."""
    return vm.state is State.RUNNING and _is_heard(session, intent, layout)


def _is_heard(session: Session, intent: Intent, layout: Layout) -> bool:
    """Whether guests of this kind can be told while they run, and notice."""
    limits = session.provider.features.carriers.get(Carrier(intent.carrier))
    told = isinstance(session.provider, LiveContext) and limits is not None and limits.live
    return told and layout.live


def _is_in_overlay(vm: VM, intent: Intent, context: Context, layout: Layout) -> bool:
    """Whether the second medium alone tells a guest all that it does not know yet."""
    before, after = rendered(intent.context, layout), rendered(context, layout)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    overlaid = {name.removeprefix(OVERLAY) for name in after if name.startswith(OVERLAY)}
    told = all(name.startswith(OVERLAY) or name in overlaid for name in changed)
    return told and not context_pending(vm, intent)


def _how_far(
    session: Session, wait: Wait | None, context: Context, layout: Layout, *, live: bool
) -> Wait:
    """How far to wait: for the guest's answer if nothing was asked and one will come."""
    features = session.provider.features
    if wait is None:
        return (
            Wait.READY if live and features.receipts and layout.answers(context) else Wait.RUNNING
        )
    if wait is Wait.READY and not live:
        raise InvalidError(
            "the guest cannot be told now, so --wait ready would never end",
            code="wait-impossible",
            hint="leave --wait out; the next start tells it",
        )
    check_wait(wait, layout, context, features)
    return wait


def _tell_guest(session: Session, vm: VM, delivery: Delivery) -> None:
    session.tell(Event(Phase.UPDATE, f"telling {vm.name} its new context"))
    try:
        live = require(session.provider, LiveContext)
        patiently(lambda: live.update_context(vm.uuid, delivery))
    except ImsError as error:
        error.details += ("the new context is kept, and takes effect at the next start at latest",)
        raise
