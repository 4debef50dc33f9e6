"""Start, stop, delete and set-ip: what is done to a VM that exists."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_bootparams.validation import check_context
from ims_core.errors import ImsError, InvalidError
from ims_core.models import Carrier, State, Wait
from ims_core.registry import layout as load_layout
from ims_core.service.addresses import readdressed, refuse_promised
from ims_core.service.delivery import check_wait, deliver, digest_for
from ims_core.service.events import Event, Phase
from ims_core.service.waiting import Deadline, Expected, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.models import VM, Delivery
    from ims_core.service.session import Session
    from ims_core.store import Intent

__all__ = [
    "OFF",
    "context_pending",
    "delete",
    "pending_addresses",
    "set_addresses",
    "start",
    "stop",
]

DHCP = "dhcp"
"""Stands among pending addresses for a card that will have none of its own."""
OFF = (State.DEFINED, State.STOPPED, State.CRASHED)
"""The states in which a VM could be started."""


def start(session: Session, name: str, wait: Wait, deadline: Deadline) -> VM:
    """Start a VM with a fresh delivery of its context; one whose context is lost as it is."""
    vm, mark = session.find_ours(name)
    with session.locks.of(vm, seconds=deadline.left):
        intent = session.store.intent(vm.uuid)
        delivery = _next_delivery(session, intent, wait)
        session.tell(Event(Phase.START, f"starting {vm.name}"))
        if intent is not None:
            # What was set while it ran is reserved from now on instead of what it had.
            session.provider.set_addresses(vm.uuid, intent.context.interfaces)
        session.provider.start(vm.uuid, delivery)
        expected = Expected("", "")
        if delivery is not None:
            expected = Expected(delivery.digest, delivery.nonce)
            session.store.save_mark(replace(mark, digest=delivery.digest, nonce=delivery.nonce))
    vm = wait_for(session, vm.uuid, wait, expected, deadline)
    session.report(Event(Phase.DONE, f"{vm.name} is {wait}"))
    return replace(vm, pool=session.pool.name)


def stop(session: Session, name: str, *, force: bool, deadline: Deadline) -> None:
    """Stop a VM: ask the guest and wait, or with ``force`` take the power away."""
    vm, _ = session.find_ours(name)
    session.tell(Event(Phase.STOP, f"{'powering off' if force else 'stopping'} {vm.name}"))
    # Whoever waits for the guest to stop must not keep another from pulling the plug.
    with nullcontext() if force else session.locks.of(vm, seconds=deadline.left):
        session.provider.stop(vm.uuid, force=force, timeout=deadline.left)
    session.report(Event(Phase.DONE, f"{vm.name} is stopped"))


def delete(session: Session, name: str) -> None:
    """Remove a VM and all that was made for it."""
    vm, _ = session.find_ours(name)
    session.tell(Event(Phase.DELETE, f"deleting {vm.name}"))
    with session.locks.of(vm):
        session.provider.delete(vm.uuid)
        session.store.forget(vm.uuid)
    session.report(Event(Phase.DONE, f"{vm.name} is deleted"))


def set_addresses(session: Session, name: str, addresses: Sequence[str], card: int) -> VM:
    """Give one card of a VM static addresses, or DHCP when there are none.

    They reach the guest with its next start; the hypervisor's own network is told at once.
    """
    vm, _ = session.find_ours(name, evidence=True)
    with session.locks.of(vm):
        intent = session.intent_of(vm)
        cards = list(intent.context.interfaces)
        if not 0 <= card < len(cards):
            raise InvalidError(
                f"VM {vm.name!r} has no interface {card}", hint=f"it has 0 to {len(cards) - 1}"
            )
        cards[card] = readdressed(cards[card], addresses)
        refuse_promised(session, vm.uuid, cards[card].addresses)
        try:
            completed = session.provider.set_addresses(vm.uuid, cards)
            context = replace(intent.context, interfaces=tuple(completed))
            check_context(context)
            session.store.save_intent(replace(intent, context=context))
        except BaseException:
            with suppress(ImsError):  # the error that is on its way matters more
                session.provider.set_addresses(vm.uuid, intent.context.interfaces)
            raise
    vm = replace(vm, pool=session.pool.name, pending=completed[card].addresses or (DHCP,))
    when = "pending until next start" if vm.state not in OFF else "takes effect at the next start"
    session.report(Event(Phase.DONE, f"{', '.join(vm.pending)}: {when}"))
    return vm


def pending_addresses(vm: VM, intent: Intent | None) -> tuple[str, ...]:
    """What the cards will be told at the next start, while it has not been told yet."""
    if intent is None or vm.mark is None:
        return ()
    if vm.state not in OFF and not context_pending(vm, intent):
        return ()
    cards = intent.context.interfaces
    return tuple(address for card in cards for address in card.addresses or (DHCP,))


def context_pending(vm: VM, intent: Intent | None) -> bool:
    """Whether the VM is meant to be told something else than it was told last."""
    if intent is None or vm.mark is None:
        return False
    return vm.mark.digest != digest_for(intent.context, load_layout(intent.layout))


def _next_delivery(session: Session, intent: Intent | None, wait: Wait) -> Delivery | None:
    features = session.provider.features
    if intent is None:
        if wait is Wait.READY:
            raise InvalidError(
                "this store does not know the VM's context, so --wait ready cannot be judged",
                code="wait-impossible",
                hint="use --wait running, or the IMS_STATE that created the VM",
            )
        session.tell(
            Event(
                Phase.START,
                "this store does not know the VM's context: it starts with the medium it has",
                warning=True,
            )
        )
        return None
    layout = load_layout(intent.layout)
    check_wait(wait, layout, intent.context, features)
    return deliver(intent.context, layout, Carrier(intent.carrier), features)
