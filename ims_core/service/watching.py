"""Watching a pool: the context of a VM that somebody else starts, or moves here, is renewed.

OPTIMIS calls this recontextualization. A guest that was started behind our back reads the delivery
of an earlier start, whose nonce proves nothing; told again, it answers for what it knows now.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from ims_core.errors import BusyError, CancelledError, ImsError, UnavailableError
from ims_core.models import ChangeKind, State
from ims_core.service.changes import Changes
from ims_core.service.context import renew
from ims_core.service.events import Watched
from ims_core.service.lifecycle import OFF
from ims_core.service.operations import Kind
from ims_core.service.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_core.models import VM
    from ims_core.service.changes import Happened
    from ims_core.service.events import What
    from ims_core.service.session import Session
    from ims_core.service.waiting import Expected
    from ims_core.store import Operation

__all__ = ["watch"]

ANSWER_SECONDS = 300.0
"""So long an answer of a guest is looked for; it may be booting."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0
_LATE = 1.0  # seconds by which an event may be heard after the operation that made it has ended
_STARTING = (Kind.CREATE, Kind.CLONE, Kind.START, Kind.REBOOT)


def watch(session: Session, *, seconds: float, every: float) -> Iterator[Watched]:
    """Renew contexts for so long, and tell what was seen and done as it happens.

    Args:
        session: Its pool.
        seconds: When to end; infinite for until the caller ends it.
        every: Seconds between two looks at all VMs, where the hypervisor itself tells nothing.

    Raises:
        ImsError: What no patience mends: access that was denied, a store that cannot be used.
    """
    deadline, changes = Deadline(seconds), Changes(session, every)
    due, answers = _Due(session), _Answers(session)
    heard: deque[Happened] = deque()
    pause, told = 0.0, ""
    while not deadline.expired:
        deadline.pause(0)  # the hypervisor waits for us, and knows of no cancellation
        try:
            heard.extend(changes.wait(deadline))
            if told != "listening":
                pause, told = 0.0, "listening"
                yield _now("listening", message=f"to {session.provider.endpoint}")
            while heard:
                yield from _told_of(session, heard[0], due)
                heard.popleft()
            yield from due.renew(answers)
            yield from answers.look()
        except UnavailableError as error:
            if not error.retryable:
                raise
            if told != "lost":
                told = "lost"
                yield _now("lost", message=str(error))
            pause = min(2 * pause, _LONGEST_PAUSE) or _FIRST_PAUSE
            deadline.pause(pause)


def _told_of(session: Session, happened: Happened, due: _Due) -> Iterator[Watched]:
    """One change of a VM of ours, which may make a renewal due."""
    change = happened.change
    intent = session.store.intent(change.vm)
    found = session.provider.inspect([change.vm]) if intent is not None else ()
    if not found:
        return  # foreign, another store's, or gone
    by_us = change.kind is ChangeKind.STARTED and _is_ours(session, happened)
    if change.kind is ChangeKind.STOPPED:
        due.drop(change.vm)
    elif not by_us:
        due.add(change.vm)
    yield Watched(change.at, change.kind.value, found[0].name, "by IMS" if by_us else "")


def _is_of_all(error: ImsError) -> bool:
    """Whether it is about more than one VM: another cannot be told either, or is not to be."""
    if isinstance(error, BusyError) or error.code == "hypervisor-hangs":
        return False
    return isinstance(error, UnavailableError | CancelledError)


def _is_ours(session: Session, happened: Happened) -> bool:
    """Whether it was IMS that started the VM: such a start brings a delivery of its own."""
    since, until = happened.since - _LATE, happened.change.at
    return any(
        each.vm == happened.change.vm
        and each.kind in _STARTING
        and each.started <= until
        and (_is_at_work(session, each) if each.ended is None else each.ended >= since)
        for each in session.store.operations(session.pool.name)
    )


def _is_at_work(session: Session, operation: Operation) -> bool:
    """Whether its process lives: then it holds the operation's lock."""
    try:
        with session.store.lock(operation.id, seconds=0):
            return False
    except TimeoutError:
        return True


class _Due:
    """The VMs whose context is to be renewed, as soon as they run: one may be held from its start.

    They stay due while the hypervisor cannot be reached.
    """

    def __init__(self, session: Session) -> None:
        """None yet."""
        self._session = session
        self._vms: dict[str, None] = {}  # UUIDs, in their order

    def add(self, uuid: str) -> None:
        """It has been started, or has come here."""
        self._vms[uuid] = None

    def drop(self, uuid: str) -> None:
        """It is off."""
        self._vms.pop(uuid, None)

    def renew(self, answers: _Answers) -> Iterator[Watched]:
        """Tell those that run by now."""
        if not self._vms:
            return
        found = {vm.uuid: vm for vm in self._session.provider.inspect(list(self._vms))}
        for uuid in list(self._vms):
            vm = found.get(uuid)
            if vm is not None and vm.state is State.RUNNING:
                yield self._renewed(vm, answers)
            if vm is None or vm.state in (State.RUNNING, *OFF):
                self.drop(uuid)

    def _renewed(self, vm: VM, answers: _Answers) -> Watched:
        try:
            expected = renew(self._session, vm.uuid)
        except ImsError as error:
            if _is_of_all(error):
                raise
            return _now("failed", vm.name, str(error))
        answers.await_(vm, expected)
        return _now("told", vm.name, f"its context, {expected.digest}")


class _Answers:
    """The answers that guests still owe."""

    def __init__(self, session: Session) -> None:
        """None yet."""
        self._session = session
        self._awaited: dict[str, tuple[str, Expected, Deadline]] = {}

    def await_(self, vm: VM, expected: Expected) -> None:
        """Look for the answer of a VM from now on, if one will come."""
        if expected.nonce:
            self._awaited[vm.uuid] = (vm.name, expected, Deadline(ANSWER_SECONDS))

    def look(self) -> Iterator[Watched]:
        """Those that have come, and those that will not."""
        if not self._awaited:
            return
        seen = self._session.provider.inspect(list(self._awaited), evidence=True)
        found = {vm.uuid: vm for vm in seen}
        for uuid, (name, expected, deadline) in list(self._awaited.items()):
            vm = found.get(uuid)
            receipt = vm.receipt if vm is not None else None
            nonce = vm.mark.nonce if vm is not None and vm.mark is not None else ""
            if vm is None or vm.state in OFF or nonce != expected.nonce:  # told something else
                del self._awaited[uuid]
            elif receipt is not None and receipt.nonce == expected.nonce:
                del self._awaited[uuid]
                problem = receipt.problem(digest=expected.digest, nonce=expected.nonce)
                yield _now("failed" if problem else "answered", name, problem)
            elif deadline.expired:
                del self._awaited[uuid]
                yield _now("failed", name, f"no answer within {ANSWER_SECONDS:g} s")


def _now(what: What, vm: str = "", message: str = "") -> Watched:
    return Watched(time.time(), what, vm, message)
