"""Start, stop, delete and set-ip: what is done to a VM that exists."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_bootparams.validation import check_context
from ims_core.errors import (
    ConflictError,
    ImsError,
    InvalidError,
    NotFoundError,
    UnsupportedError,
)
from ims_core.models import Carrier, State, Wait
from ims_core.registry import layout as load_layout
from ims_core.service.addresses import (
    claim_of,
    fill_in,
    held_by,
    promised,
    promises_of,
    readdressed,
    reservations,
)
from ims_core.service.delivery import check_wait, deliver, digest_for
from ims_core.service.events import Event, Phase
from ims_core.service.operations import Kind, give_up, recorded
from ims_core.service.patience import patiently
from ims_core.service.session import BUSY_SECONDS
from ims_core.service.waiting import Deadline, Expected, wait_for
from ims_core.store import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ims_core.models import VM, Delivery, Interface, Mark
    from ims_core.service.operations import Running
    from ims_core.service.session import Session
    from ims_core.store import Intent, Reservation

__all__ = [
    "OFF",
    "changing",
    "context_pending",
    "delete",
    "keep_promises",
    "next_delivery",
    "pending_addresses",
    "power_on",
    "refuse_unfinished",
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
    with changing(session, Kind.START, name, deadline.left) as (running, vm, mark):
        intent = session.store.intent(vm.uuid)
        delivery = next_delivery(running.session, intent, wait)
        running.session.tell(Event(Phase.START, f"starting {vm.name}"))
        expected = power_on(running.session, mark, intent, delivery, deadline)
    vm = wait_for(session, vm.uuid, wait, expected, deadline)
    session.report(Event(Phase.DONE, f"{vm.name} is {wait}"))
    return replace(vm, pool=session.pool.name)


def power_on(
    session: Session,
    mark: Mark,
    intent: Intent | None,
    delivery: Delivery | None,
    deadline: Deadline | None = None,
) -> Expected:
    """Start a VM that is held, with what was set for its next start; tells what it will answer."""
    store, provider, uuid = session.store, session.provider, mark.vm
    cards = intent.context.interfaces if intent is not None else ()
    wanted = reservations(session, uuid, cards)
    if intent is not None:
        # What was set while it ran is reserved from now on instead of what it had.
        store.reserve(uuid, claim_of(session, [*wanted, *held_by(session, uuid)]))
        patiently(lambda: provider.set_addresses(uuid, cards), deadline)
    patiently(lambda: provider.start(uuid, delivery), deadline)
    if intent is None or delivery is None:
        return Expected("", "")
    told = replace(mark, digest=delivery.digest, nonce=delivery.nonce)
    keep_promises(session, told, wanted)
    return Expected(delivery.digest, delivery.nonce)


def stop(session: Session, name: str, *, force: bool, deadline: Deadline) -> None:
    """Stop a VM: ask the guest and wait, or with ``force`` take the power away."""
    # Whoever waits for the guest to stop must not keep another from pulling the plug.
    with changing(session, Kind.STOP, name, None if force else deadline.left) as (running, vm, _):
        told = f"{'powering off' if force else 'stopping'} {vm.name}"
        running.session.tell(Event(Phase.STOP, told))
        stopping = running.session.provider.stop
        patiently(lambda: stopping(vm.uuid, force=force, timeout=deadline.left), deadline)
    session.report(Event(Phase.DONE, f"{vm.name} is stopped"))


def delete(session: Session, name: str) -> str:
    """Remove a VM and all that was made for it; returns its UUID."""
    try:
        return _delete(session, name)
    except NotFoundError:
        # A delete that was cut short may have been ended on the way here.
        for each in session.recovered:
            if each.kind == Kind.DELETE and name in (each.subject, each.vm) and not each.is_open:
                session.report(Event(Phase.DONE, f"{each.subject} is deleted"))
                return each.vm
        raise


def _delete(session: Session, name: str) -> str:
    begun: list[str] = []
    with changing(
        session,
        Kind.DELETE,
        name,
        BUSY_SECONDS,
        undo=lambda _, error: _ended(session, begun, error),
    ) as (running, vm, _):
        running.session.tell(Event(Phase.DELETE, f"deleting {vm.name}"))
        begun.append(vm.uuid)
        _remove(running.session, vm.uuid)
    session.report(Event(Phase.DONE, f"{vm.name} is deleted"))
    return vm.uuid


def set_addresses(session: Session, name: str, addresses: Sequence[str], card: int) -> VM:
    """Give one card of a VM static addresses, or DHCP when there are none.

    They reach the guest with its next start; the hypervisor's own network is told at once.
    """
    with changing(session, Kind.SET_IP, name, BUSY_SECONDS) as (running, vm, mark):
        intent = session.intent_of(vm)
        cards = list(intent.context.interfaces)
        if not 0 <= card < len(cards):
            raise InvalidError(
                f"VM {vm.name!r} has no interface {card}", hint=f"it has 0 to {len(cards) - 1}"
            )
        cards[card] = fill_in(session, readdressed(cards[card], addresses))
        completed = _set(running, vm, mark, intent, cards)
    vm = replace(vm, pool=session.pool.name, pending=completed[card].addresses or (DHCP,))
    when = "pending until next start" if vm.state not in OFF else "takes effect at the next start"
    session.report(Event(Phase.DONE, f"{', '.join(vm.pending)}: {when}"))
    return vm


def keep_promises(session: Session, mark: Mark, wanted: Iterable[Reservation]) -> None:
    """Reserve exactly these addresses for a VM, and say so in its mark."""
    wanted = list(dict.fromkeys(wanted))
    session.store.reserve(mark.vm, claim_of(session, wanted))
    changed = replace(mark, addresses=promised(wanted))
    if changed.addresses != mark.addresses:
        patiently(lambda: session.provider.write_mark(mark.vm, changed))
    session.store.save_mark(changed)


def _held_while_running(session: Session, vm: VM) -> list[Reservation]:
    """What a VM has at least until it is off; nothing if it is."""
    if vm.state in OFF:
        return []
    promises = promises_of(session, vm.uuid, vm.mark) if vm.mark else []
    return [*held_by(session, vm.uuid), *promises]


def _set(
    running: Running, vm: VM, mark: Mark, intent: Intent, cards: Sequence[Interface]
) -> Sequence[Interface]:
    session = running.session
    before, held = held_by(session, vm.uuid), _held_while_running(session, vm)
    wanted = reservations(session, vm.uuid, cards)
    running.aim(promised(wanted))
    session.store.reserve(vm.uuid, claim_of(session, [*wanted, *held]))
    try:
        completed = patiently(lambda: session.provider.set_addresses(vm.uuid, cards))
        context = replace(intent.context, interfaces=tuple(completed))
        check_context(context)
        layout = load_layout(intent.layout)
        deliver(context, layout, Carrier(intent.carrier), session.provider.features)
        keep_promises(session, mark, [*wanted, *held])
        session.store.save_intent(replace(intent, context=context))
    except BaseException:
        with suppress(ImsError):  # the error that is on its way matters more
            session.provider.set_addresses(vm.uuid, intent.context.interfaces)
            keep_promises(session, mark, before)
        raise
    return completed


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
    try:
        return vm.mark.digest != digest_for(intent.context, load_layout(intent.layout))
    except InvalidError:
        return True  # of another release, whose layout took it; a start says what is wrong


@contextmanager
def changing(
    session: Session,
    kind: str,
    name: str,
    seconds: float | None,
    undo: Callable[[Running, BaseException], Outcome] | None = None,
) -> Iterator[tuple[Running, VM, Mark]]:
    """Hold a VM of ours, looked at again once it is held, and record what is done to it.

    Args:
        session: Its pool.
        kind: What is done.
        name: Its name or UUID.
        seconds: How long to wait for its lock; None does without.
        undo: See :func:`recorded`.
    """
    vm, mark = session.find_ours(name)
    holding = nullcontext() if seconds is None else session.hold(vm.uuid, vm.name, seconds=seconds)
    with holding:
        if seconds is not None:
            vm, mark = session.find_ours(vm.uuid)
        with recorded(session, kind, vm.name, vm=vm.uuid, undo=undo or give_up) as running:
            yield running, vm, mark


def refuse_unfinished(session: Session, vm: VM, mark: Mark) -> None:
    """Whoever creates it waits for the answer to what it told, and writes the mark last."""
    if not mark.complete:
        raise ConflictError(
            f"VM {vm.name!r} is still being created",
            code="vm-busy",
            vm=vm.name,
            pool=session.pool.name,
            hint="try again when that is done; if it was cut short, delete the VM",
        )


def _remove(session: Session, uuid: str) -> None:
    patiently(lambda: session.provider.delete(uuid))
    session.store.forget(uuid)


def _ended(session: Session, begun: Sequence[str], error: BaseException) -> Outcome:
    """How a delete ends that was interrupted: half a VM is of no use, so it is carried on.

    What the provider refused before it did anything is the user's to decide.
    """
    if not begun or isinstance(error, ConflictError | InvalidError | UnsupportedError):
        return Outcome.FAILED
    try:
        _remove(session, *begun)
    except Exception:  # noqa: BLE001 - the error that is on its way matters more
        told = "what is left of it is removed when the pool is used next"
        outcome = Outcome.UNFINISHED
    else:
        told, outcome = "it is deleted all the same", Outcome.DONE
    if isinstance(error, ImsError):
        error.details += (told,)
    return outcome


def next_delivery(session: Session, intent: Intent | None, wait: Wait) -> Delivery | None:
    """What a VM is told at its next start, with a fresh nonce; None if this store does not know.

    Raises:
        InvalidError: ``wait-impossible``.
    """
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
