"""Ending what processes that are gone left unfinished.

Only operations whose lock can be taken are touched, so whoever is still at work is left alone,
and two that recover at once do no harm. Everything done here can be cut short and done again.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ims_core.errors import CancelledError, ConflictError, ImsError, NotFoundError
from ims_core.models import State
from ims_core.registry import layout as load_layout
from ims_core.service.addresses import promised, promises_of, reservations
from ims_core.service.adoption import remember
from ims_core.service.context import tell_again
from ims_core.service.delivery import digest_for
from ims_core.service.events import Event, Phase
from ims_core.service.lifecycle import OFF, keep_promises
from ims_core.service.operations import Journal, Kind, interrupted
from ims_core.service.power import go_on_rebooting
from ims_core.service.snapshots import go_on_deleting, go_on_restoring, taken_by
from ims_core.service.unmaking import undo_create
from ims_core.spi import TemplateStore, require
from ims_core.store import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ims_core.models import VM
    from ims_core.service.session import Session
    from ims_core.store import Operation

__all__ = ["Recovery", "recover"]

BUSY_SECONDS = 10.0
_MAKERS = (Kind.CREATE, Kind.CLONE)
"""The verbs of whose VM nothing is left when they are undone."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of one operation that was left unfinished.

    Attributes:
        operation: As it is recorded now.
        message: What was done, or would be done, in one sentence.
    """

    operation: Operation
    message: str


@dataclass(frozen=True, slots=True)
class _End:
    """How to end an operation: in words, and by a function that tells how it ended."""

    message: str
    run: Callable[[], Outcome]


def recover(
    session: Session,
    operations: Collection[str] = (),
    *,
    dry_run: bool = False,
    give_up: bool = False,
) -> list[Recovery]:
    """End the operations of a pool that nobody is at work on any more.

    Args:
        session: The pool.
        operations: Only these, by their ids; then also those whose pieces were kept.
        dry_run: Only tell what would be done.
        give_up: Take them for ended, and leave what they made.
    """
    found = session.store.operations(session.pool.name, unfinished=not operations)
    ended = [
        _recover(session, each.id, dry_run=dry_run, give_up=give_up)
        for each in found
        if not operations or each.id in operations
    ]
    return [each for each in ended if each is not None]


def _recover(session: Session, operation: str, *, dry_run: bool, give_up: bool) -> Recovery | None:
    """End one operation; None when there is nothing to end."""
    try:
        with session.store.lock(operation, seconds=0):
            # It may have ended before its lock was ours.
            record = session.store.operation(operation)
            if record is None or record.is_settled:
                return None
            return _end(session, record, dry_run=dry_run, give_up=give_up)
    except TimeoutError:
        record = session.store.operation(operation)
        return Recovery(record, "it is still running") if record and dry_run else None


def _end(session: Session, record: Operation, *, dry_run: bool, give_up: bool) -> Recovery:
    try:
        end = _given_up(session, record) if give_up else _ending(session, record)
        if dry_run:
            return Recovery(record, end.message)
        session.report(Event(Phase.RECOVER, f"{_named(record)}: {end.message}", warning=True))
        outcome = end.run()
    except CancelledError:
        raise  # it is as unfinished as before
    except Exception as error:  # noqa: BLE001 - one that cannot be ended must not stop the others
        told = f"{_named(record)}, and cannot be ended: {error}"
        session.report(Event(Phase.RECOVER, told, warning=True))
        outcome = record.outcome if record.outcome is Outcome.KEPT else Outcome.UNFINISHED
        if not dry_run:
            session.store.finish(record.id, outcome, dict(record.error) or interrupted())
        return Recovery(replace(record, outcome=outcome), f"cannot be ended: {error}")
    why = {} if outcome is Outcome.DONE else dict(record.error) or interrupted()
    session.store.finish(record.id, outcome, why)
    message = end.message if outcome is not Outcome.UNFINISHED else f"not done: {end.message}"
    return Recovery(replace(record, outcome=outcome, error=why), message)


def _ending(session: Session, record: Operation) -> _End:
    if record.endpoint != (here := session.provider.identity):
        raise ConflictError(
            f"it was begun at {record.endpoint}, and pool {record.pool!r} is {here} now",
            code="pool-moved",
            hint="point the pool to where it was, or `ims recover --give-up` if that is gone",
        )
    return _ENDS[record.kind](session, record)


def _given_up(session: Session, record: Operation) -> _End:
    def forget() -> Outcome:
        if record.kind in _MAKERS:
            session.store.forget(record.vm)
        return Outcome.FAILED

    pieces = ", ".join(f"{each.kind} {each.name}" for each in record.resources) or "nothing"
    return _End(f"given up; what it made is left: {pieces}", forget)


def _named(record: Operation) -> str:
    return f"{record.kind} {record.subject} (operation {record.id}) was cut short"


def _create(session: Session, record: Operation) -> _End:
    vm = _look(session, record)
    if vm is not None and vm.mark is not None and vm.mark.complete:
        mark = vm.mark

        def keep() -> Outcome:
            session.store.save_mark(mark)
            return Outcome.DONE

        return _End("the VM is complete, and stays", keep)
    return _discarded(session, record)


def _import(session: Session, record: Operation) -> _End:
    found = require(session.provider, TemplateStore).find_template(record.subject)
    if found is not None and found.operation == record.id:
        return _End("the template is complete, and stays", lambda: Outcome.DONE)
    return _discarded(session, record)


def _snapshot(session: Session, record: Operation) -> _End:
    vm = _look(session, record)
    if vm is not None and taken_by(session, record, vm):
        return _End("the snapshot is complete, and stays", lambda: Outcome.DONE)
    return _discarded(session, record)


def _discarded(session: Session, record: Operation) -> _End:
    journal = Journal(record.id, list(record.resources), store=session.store)

    def discard() -> Outcome:
        with ExitStack() as held:
            if record.vm:
                held.enter_context(session.hold(record.vm, record.subject, seconds=BUSY_SECONDS))
            if record.kind in _MAKERS:
                left = undo_create(session, journal, record.vm)
            else:
                left = session.roll_back(journal)
        for each in left.all:
            session.report(Event(Phase.RECOVER, f"left behind: {each}", warning=True))
        return Outcome.UNFINISHED if left.ours else Outcome.FAILED

    pieces = ", ".join(f"{each.kind} {each.name}" for each in record.resources) or "nothing"
    return _End(f"what it made is removed: {pieces}", discard)


def _delete(session: Session, record: Operation) -> _End:
    vm = _look(session, record)
    if vm is not None and vm.mark is None:
        return _End("the VM has no mark of ours, and stays", lambda: Outcome.FAILED)

    def go_on() -> Outcome:
        with session.hold(record.vm, record.subject, seconds=BUSY_SECONDS):
            session.provider.delete(record.vm)
            session.store.forget(record.vm)
        return Outcome.DONE

    return _End("the VM is deleted", go_on)


def _delete_template(session: Session, record: Operation) -> _End:
    store = require(session.provider, TemplateStore)
    found = store.find_template(record.subject)
    if found is not None and found.operation != record.goal:
        return _End("the template was deleted, and another has its name", lambda: Outcome.DONE)

    def go_on() -> Outcome:
        try:
            store.delete_template(record.subject)
        except NotFoundError:
            return Outcome.DONE
        except ConflictError:
            return Outcome.FAILED  # somebody uses it by now
        return Outcome.DONE

    return _End("the template is deleted", go_on)


def _converge(session: Session, record: Operation) -> _End:
    """The other verbs of VMs: the VM is made to agree with what is intended."""

    def agree() -> Outcome:
        with session.hold(record.vm, record.subject, seconds=BUSY_SECONDS):
            vm = _look(session, record)
            if vm is None or vm.mark is None:
                return Outcome.FAILED
            session.store.save_mark(vm.mark)
            return Outcome.DONE if _GOALS[record.kind](session, record, vm) else Outcome.FAILED

    return _End("the VM is left as it is intended to be", agree)


def _runs(_session: Session, _record: Operation, vm: VM) -> bool:
    return vm.state is State.RUNNING


def _is_off(_session: Session, _record: Operation, vm: VM) -> bool:
    return vm.state in OFF


def _is_paused(_session: Session, _record: Operation, vm: VM) -> bool:
    return vm.state is State.PAUSED


def _is_suspended(_session: Session, _record: Operation, vm: VM) -> bool:
    return vm.state is State.SUSPENDED


def _gone_on(
    go_on: Callable[[Session, Operation, VM], bool], in_vain: str
) -> Callable[[Session, Operation, VM], bool]:
    """A goal that is still worked for; what cannot be reached is not tried for ever."""

    def is_reached(session: Session, record: Operation, vm: VM) -> bool:
        try:
            return go_on(session, record, vm)
        except ImsError as error:
            if error.retryable or isinstance(error, CancelledError):
                raise
            told = f"{record.subject} {in_vain}: {error}"
            session.report(Event(Phase.RECOVER, told, warning=True))
            return False

    return is_reached


def _is_adopted(session: Session, _record: Operation, vm: VM) -> bool:
    if vm.mark is None or vm.mark.store != session.store.id:
        return False
    remember(session, vm.uuid, vm.mark)
    return True


def _has_addresses(session: Session, record: Operation, vm: VM) -> bool:
    """Reserve what is intended, besides what it has until it is off; tell the hypervisor."""
    intent = session.store.intent(vm.uuid)
    if intent is None or vm.mark is None:
        return False
    cards = intent.context.interfaces
    wanted = reservations(session, vm.uuid, cards)
    session.provider.set_addresses(vm.uuid, cards)
    promises = promises_of(session, vm.uuid, vm.mark) if vm.state not in OFF else []
    keep_promises(session, vm.mark, [*wanted, *promises])
    return promised(wanted) == record.goal


def _is_told(session: Session, record: Operation, vm: VM) -> bool:
    if not record.goal.startswith("sha256:"):  # it was told once more, by a nonce
        done = vm.mark is not None and vm.mark.nonce == record.goal
        return done or tell_again(session, vm, known=True)
    tell_again(session, vm)
    intent = session.store.intent(vm.uuid)
    if intent is None:
        return False
    return digest_for(intent.context, load_layout(intent.layout)) == record.goal


def _is_injected(_session: Session, _record: Operation, _vm: VM) -> bool:
    """Nobody knows what was in the files; each is whole, or not there."""
    return False


def _look(session: Session, record: Operation) -> VM | None:
    found = session.provider.inspect([record.vm])
    return next((vm for vm in found if vm.uuid == record.vm), None)


_ENDS: dict[str, Callable[[Session, Operation], _End]] = {
    Kind.CREATE: _create,
    Kind.CLONE: _create,
    Kind.IMPORT: _import,
    Kind.SNAPSHOT: _snapshot,
    Kind.DELETE: _delete,
    Kind.DELETE_TEMPLATE: _delete_template,
    Kind.ADOPT: _converge,
    Kind.DELETE_SNAPSHOT: _converge,
    Kind.INJECT: _converge,
    Kind.PAUSE: _converge,
    Kind.REBOOT: _converge,
    Kind.RESTORE: _converge,
    Kind.RESUME: _converge,
    Kind.SET_IP: _converge,
    Kind.START: _converge,
    Kind.STOP: _converge,
    Kind.SUSPEND: _converge,
    Kind.UPDATE: _converge,
}

_GOALS: dict[str, Callable[[Session, Operation, VM], bool]] = {
    Kind.ADOPT: _is_adopted,
    Kind.DELETE_SNAPSHOT: _gone_on(go_on_deleting, "keeps a snapshot that cannot be deleted"),
    Kind.INJECT: _is_injected,
    Kind.PAUSE: _is_paused,
    Kind.REBOOT: _gone_on(go_on_rebooting, "is off, and cannot be started"),
    Kind.RESTORE: _gone_on(go_on_restoring, "cannot be put back to its snapshot"),
    Kind.RESUME: _runs,
    Kind.SET_IP: _has_addresses,
    Kind.START: _runs,
    Kind.STOP: _is_off,
    Kind.SUSPEND: _is_suspended,
    Kind.UPDATE: _is_told,
}
"""Whether what was to be reached is so, once the VM agrees with what is intended."""
