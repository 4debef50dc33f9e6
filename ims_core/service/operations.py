"""One recorded run of a changing verb: what it made, its phases and how it ended.

Whoever runs it holds a lock of the kernel meanwhile. A record that says ``running`` while its
lock can be taken is that of a process that was killed; :mod:`ims_core.service.recovery` ends it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from ims_core.errors import ConflictError, ImsError
from ims_core.models import Resource
from ims_core.service.events import Event, Phase
from ims_core.store import Operation, Outcome, Step
from ims_core.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ims_core.service.events import Listener
    from ims_core.service.session import Session
    from ims_core.store import Claim, Store

__all__ = ["Journal", "Kind", "Running", "give_up", "interrupted", "new_operation", "recorded"]

_LOCK_SECONDS = 10.0


class Kind:
    """The kinds of operations: the verbs that change something."""

    ADOPT = "adopt-vm"
    CLONE = "clone-vm"
    CREATE = "create-vm"
    DELETE = "delete-vm"
    DELETE_SNAPSHOT = "delete-snapshot"
    DELETE_TEMPLATE = "delete-template"
    IMPORT = "import-template"
    INJECT = "inject-files"
    PAUSE = "pause-vm"
    REBOOT = "reboot-vm"
    RESTORE = "restore-snapshot"
    RESUME = "resume-vm"
    SET_IP = "set-ip"
    SNAPSHOT = "snapshot-vm"
    START = "start-vm"
    STOP = "stop-vm"
    SUSPEND = "suspend-vm"
    UPDATE = "update-context"


_EXISTS = {Kind.CREATE: "vm-exists", Kind.IMPORT: "template-exists"}
"""What a name that somebody is making at this moment is, to whoever wants it too."""


@dataclass
class Journal(Undo):
    """An undo log that survives its process."""

    store: Store = field(kw_only=True)

    def announce(self, kind: str, name: str) -> None:
        """Record a resource, durably, before it is made."""
        self.store.announce(Resource(kind, name, self.operation))
        super().announce(kind, name)

    def retract(self, kind: str, name: str) -> None:
        """Take an announcement back."""
        self.store.retract(Resource(kind, name, self.operation))
        super().retract(kind, name)


@dataclass(frozen=True, slots=True)
class Running:
    """An operation that runs: the session that records its phases, and its undo log."""

    session: Session
    journal: Journal

    def aim(self, goal: str) -> None:
        """Record what is to be reached: see :class:`ims_core.store.Operation`."""
        self.session.store.aim(self.journal.operation, goal)


def new_operation() -> str:
    """An id: 16 hexadecimal digits, safe in every name."""
    return token_hex(8)


def give_up(_running: Running, _error: BaseException) -> Outcome:
    """Nothing is to be undone."""
    return Outcome.FAILED


@contextmanager
def recorded(
    session: Session,
    kind: str,
    subject: str,
    *,
    operation: str = "",
    vm: str = "",
    request: str = "",
    goal: str = "",
    claim: Claim | None = None,
    undo: Callable[[Running, BaseException], Outcome] = give_up,
) -> Iterator[Running]:
    """Record the run of a verb, from its first change to its end.

    Args:
        session: The pool it is about.
        kind: See :class:`Kind`.
        subject: Name of the VM or template.
        operation: Its id; a new one if it is empty.
        vm: UUID of the VM.
        request: The caller's id of the request.
        goal: What is to be reached, if that is known already.
        claim: See :meth:`ims_core.store.Store.begin`.
        undo: What to do when it fails; tells how it ended then.

    Raises:
        ConflictError: As :meth:`ims_core.store.Store.begin`; nothing was recorded.
    """
    journal = Journal(operation or new_operation(), store=session.store)
    record = Operation(
        journal.operation,
        kind,
        session.pool.name,
        subject,
        vm,
        request,
        session.provider.identity,
        goal,
        time.time(),
    )
    # The lock comes before the record: whoever sees the record must find it locked.
    with session.store.lock(record.id, seconds=_LOCK_SECONDS):
        _begin(session, record, claim)
        running = Running(replace(session, tell=_recording(session, record.id)), journal)
        try:
            yield running
        except BaseException as error:
            if isinstance(error, ImsError):
                error.operation = error.operation or record.id
            outcome = undo(running, error)
            _finish(session, record.id, outcome, _plain(error))
            raise
        _finish(session, record.id, Outcome.DONE, {})


def interrupted() -> dict[str, Any]:
    """The error of an operation whose process was killed."""
    return ImsError("its process ended before it did", code="interrupted").to_json()


def _begin(session: Session, record: Operation, claim: Claim | None) -> None:
    try:
        session.store.begin(record, claim)
    except ConflictError as error:
        if error.code == "being-made":
            error.code = _EXISTS[record.kind]
        raise


def _plain(error: BaseException) -> dict[str, Any]:
    """An error as it is kept. Its details may be what a guest printed, and that is not."""
    if isinstance(error, ImsError):
        return {**error.to_json(), "details": []}
    return ImsError(f"{type(error).__name__}", code="internal").to_json()


def _finish(session: Session, operation: str, outcome: Outcome, error: dict[str, Any]) -> None:
    """Record the end. If that fails, recovery finds out how it ended."""
    try:
        session.store.finish(operation, outcome, error)
    except ImsError as problem:
        told = f"the end of operation {operation} could not be recorded: {problem}"
        session.report(Event(Phase.DONE, told, warning=True))


def _recording(session: Session, operation: str) -> Listener:
    """A listener that records each new phase, and passes everything on."""
    last: list[Phase] = []

    def tell(event: Event) -> None:
        if last != [event.phase]:
            last[:] = [event.phase]
            session.store.enter(operation, Step(event.phase, event.message, time.time()))
        session.tell(event)

    return tell
