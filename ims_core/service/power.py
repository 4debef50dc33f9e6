"""Pause, suspend, resume and reboot: what interrupts a VM that is to go on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, ImsError, InvalidError
from ims_core.models import State, Wait
from ims_core.service.events import Event, Phase
from ims_core.service.lifecycle import (
    OFF,
    changing,
    next_delivery,
    power_on,
    refuse_unfinished,
)
from ims_core.service.operations import Kind
from ims_core.service.patience import patiently
from ims_core.service.waiting import Expected, wait_for
from ims_core.spi import Pause, Suspend, require
from ims_core.store import Outcome

if TYPE_CHECKING:
    from ims_core.models import VM
    from ims_core.service.operations import Running
    from ims_core.service.session import Session
    from ims_core.service.waiting import Deadline
    from ims_core.store import Operation

__all__ = ["go_on_rebooting", "pause", "reboot", "resume", "suspend"]

_AS_IT_IS = "as-it-is"
"""The goal of a reboot with no delivery of its own, whose nonce would be the goal."""


def pause(session: Session, name: str, deadline: Deadline) -> None:
    """Hold a VM's CPUs."""
    provider = require(session.provider, Pause)
    with changing(session, Kind.PAUSE, name, deadline.left) as (running, vm, mark):
        refuse_unfinished(session, vm, mark)
        running.session.tell(Event(Phase.PAUSE, f"pausing {vm.name}"))
        patiently(lambda: provider.pause(vm.uuid), deadline)
    session.report(Event(Phase.DONE, f"{vm.name} is paused"))


def suspend(session: Session, name: str, deadline: Deadline) -> None:
    """Save a VM's memory to disk and take its power."""
    provider = require(session.provider, Suspend)
    with changing(session, Kind.SUSPEND, name, deadline.left) as (running, vm, mark):
        refuse_unfinished(session, vm, mark)
        running.session.tell(Event(Phase.SUSPEND, f"saving the memory of {vm.name}"))
        patiently(lambda: provider.suspend(vm.uuid), deadline)
    session.report(Event(Phase.DONE, f"{vm.name} is suspended"))


def resume(session: Session, name: str, wait: Wait, deadline: Deadline) -> VM:
    """Let a VM go on where it was; it has the context that it had."""
    provider = require(session.provider, Suspend)
    if wait is Wait.READY:
        raise InvalidError(
            "a guest that goes on does not answer again, so --wait ready would prove nothing",
            code="wait-impossible",
            hint="use --wait address; `ims reboot-vm` has it read its context again",
        )
    with changing(session, Kind.RESUME, name, deadline.left) as (running, vm, _):
        running.session.tell(Event(Phase.RESUME, f"resuming {vm.name}"))
        patiently(lambda: provider.resume(vm.uuid), deadline)
    vm = wait_for(session, vm.uuid, wait, Expected("", ""), deadline)
    session.report(Event(Phase.DONE, f"{vm.name} goes on"))
    return replace(vm, pool=session.pool.name)


def reboot(session: Session, name: str, wait: Wait, *, force: bool, deadline: Deadline) -> VM:
    """Stop a VM and start it with a fresh delivery, as one operation."""
    with changing(session, Kind.REBOOT, name, deadline.left, undo=_carried_on) as (
        running,
        vm,
        mark,
    ):
        refuse_unfinished(session, vm, mark)
        _refuse_off(session, vm)
        # Whatever can be refused is refused while it still runs.
        intent = session.store.intent(vm.uuid)
        delivery = next_delivery(running.session, intent, wait)
        running.session.tell(Event(Phase.STOP, f"stopping {vm.name}"))
        running.aim(delivery.nonce if delivery is not None else _AS_IT_IS)
        stop = session.provider.stop
        patiently(lambda: stop(vm.uuid, force=force, timeout=deadline.left), deadline)
        running.session.tell(Event(Phase.START, f"starting {vm.name}"))
        expected = power_on(running.session, mark, intent, delivery, deadline)
    vm = wait_for(session, vm.uuid, wait, expected, deadline)
    session.report(Event(Phase.DONE, f"{vm.name} is {wait}"))
    return replace(vm, pool=session.pool.name)


def go_on_rebooting(session: Session, record: Operation, vm: VM) -> bool:
    """Start a VM that a reboot has stopped and not started; whether it was rebooted then.

    The goal of the record is the nonce of the start; it has none before the stop has begun.
    """
    if not record.goal or vm.mark is None:
        return False
    if vm.state not in (*OFF, State.STARTING):  # what never came to run is started anew
        return vm.mark.nonce == record.goal
    intent = session.store.intent(vm.uuid)
    delivery = next_delivery(session, intent, Wait.RUNNING)
    if delivery is not None:
        session.store.aim(record.id, delivery.nonce)
    power_on(session, vm.mark, intent, delivery)
    return True


def _carried_on(running: Running, error: BaseException) -> Outcome:
    """How a reboot ends that was interrupted: a VM that was stopped for it is started."""
    # It is not to be stopped once more by whatever stopped it.
    session = replace(running.session, tell=running.session.report)
    try:
        record = session.store.operation(running.journal.operation)
        if record is None or not record.goal:
            return Outcome.FAILED
        if not go_on_rebooting(session, record, session.find(record.vm)):
            return Outcome.FAILED
        told, outcome = "it was started again all the same", Outcome.DONE
    except Exception as problem:  # noqa: BLE001 - the error that is on its way matters more
        if isinstance(problem, ImsError) and not problem.retryable:
            told, outcome = f"it may be off: {problem}", Outcome.FAILED
        else:
            told = "if it is off, it is started when the pool is used next"
            outcome = Outcome.UNFINISHED
    if isinstance(error, ImsError):
        error.details += (told,)
    return outcome


def _refuse_off(session: Session, vm: VM) -> None:
    if vm.state in OFF:
        raise ConflictError(
            f"VM {vm.name!r} is not running",
            code="vm-not-running",
            vm=vm.name,
            pool=session.pool.name,
            hint=f"`ims start-vm {vm.name}`",
        )
