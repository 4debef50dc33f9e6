"""Waiting until a VM is as far as the caller asked, never longer than allowed.

A VM that crashed or stopped ends the wait at once. A timeout says what each source of evidence
showed, with the end of the guest's console.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_core.errors import CancelledError, DeadlineError, GuestError, ImsError
from ims_core.models import State, Wait
from ims_core.service.events import Event, Phase
from ims_core.service.handles import current
from ims_core.spi import ConsoleLog

if TYPE_CHECKING:
    from ims_core.models import VM
    from ims_core.service.events import Listener
    from ims_core.service.session import Session
    from ims_core.spi import Progress

__all__ = ["CONSOLE_LINES", "Deadline", "Expected", "percent", "wait_for"]

CONSOLE_LINES = 40
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_OVER = (State.CRASHED, State.STOPPED)


class Deadline:
    """A point in time by which something must be done."""

    def __init__(self, seconds: float) -> None:
        """Begin to count, for the operation that this thread is at."""
        self.seconds = seconds
        self._handle = current()
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    def check(self, so_far: str) -> None:
        """Raise ``DeadlineError`` when the time is over, or ``CancelledError`` when it is to stop.

        Args:
            so_far: How far it came, for the message.
        """
        if self._handle is not None:
            self._handle.check()
        if self.expired:
            raise DeadlineError(
                f"{self.seconds:g} s were not enough: {so_far}",
                hint="give it more time with --timeout",
            )

    def pause(self, seconds: float) -> None:
        """Wait for so long, but not beyond the end, nor once the operation is to stop.

        Raises:
            CancelledError: It is.
        """
        if self._handle is None:
            time.sleep(min(seconds, self.left))
        elif self._handle.stop.wait(min(seconds, self.left)):
            self._handle.check()

    @property
    def expired(self) -> bool:
        """Whether the time is over."""
        return self.left == 0.0


def percent(phase: Phase, what: str, tell: Listener, deadline: Deadline) -> Progress:
    """Tell of bytes as they are done, and raise when the time is over."""

    def progress(done: int, total: int | None) -> None:
        deadline.check(f"{phase} of {what} was at {done} bytes")
        tell(Event(phase, what, 100 * done / total if total else None))

    return progress


@dataclass(frozen=True, slots=True)
class Expected:
    """The delivery whose receipt is waited for."""

    digest: str
    nonce: str


def wait_for(session: Session, uuid: str, wait: Wait, expected: Expected, deadline: Deadline) -> VM:
    """Look until the VM is as far as asked; returns it with its evidence.

    Raises:
        GuestError: It crashed, stopped, or answered that its context could not be applied.
        DeadlineError: The time is over.
    """
    pause = _FIRST_PAUSE
    told = ""
    while True:
        vm = session.find(uuid, evidence=wait in (Wait.ADDRESS, Wait.READY))
        if vm.state in _OVER and wait is not Wait.DEFINED:
            raise GuestError(
                f"VM {vm.name!r} is {vm.state} and did not come to {wait}",
                code="guest-stopped",
                hint="the end of its console may say why",
                vm=vm.name,
                pool=session.pool.name,
                details=console_tail(session, uuid),
            )
        missing = _missing(vm, wait, expected, session)
        if not missing:
            return vm
        if missing != told:
            session.tell(Event(Phase.WAIT, missing))
            told = missing
        if deadline.expired:
            raise _timeout(session, vm, wait, missing, deadline)
        deadline.pause(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def console_tail(session: Session, uuid: str) -> tuple[str, ...]:
    """The end of the guest's console, as far as it can be had."""
    if not isinstance(session.provider, ConsoleLog):
        return ()
    try:
        return session.provider.console_tail(uuid, CONSOLE_LINES)
    except CancelledError:
        raise
    except ImsError as error:
        return (f"(the console cannot be read: {error})",)


def _missing(vm: VM, wait: Wait, expected: Expected, session: Session) -> str:
    """What is still missing, as a sentence; raises when it can no longer come."""
    if wait is Wait.ADDRESS and not vm.addresses:
        sources = ", ".join(session.provider.features.address_sources)
        return f"no address yet (asked: {sources or 'nobody'})"
    if wait is Wait.READY:
        return _receipt_missing(vm, expected, session)
    if wait is Wait.RUNNING and vm.state is not State.RUNNING:
        return f"state is {vm.state}"
    return ""


def _receipt_missing(vm: VM, expected: Expected, session: Session) -> str:
    if vm.receipt is None:
        return "no receipt yet: the guest has not answered"
    problem = vm.receipt.problem(digest=expected.digest, nonce=expected.nonce)
    if problem and vm.receipt.nonce == expected.nonce:
        raise GuestError(
            f"VM {vm.name!r} is not ready: {problem}",
            code="context-not-applied",
            hint="the end of its console may say more",
            vm=vm.name,
            pool=session.pool.name,
            details=console_tail(session, vm.uuid),
        )
    return problem


def _timeout(
    session: Session, vm: VM, wait: Wait, missing: str, deadline: Deadline
) -> DeadlineError:
    found = {address.source for address in vm.addresses}
    evidence = [f"state: {vm.state}"]
    evidence += [
        f"{source}: {'an address' if source in found else 'no address'}"
        for source in session.provider.features.address_sources
    ]
    return DeadlineError(
        f"VM {vm.name!r} did not come to {wait} within {deadline.seconds:g} s: {missing}",
        hint="give it more time with --timeout, or look at the console lines",
        vm=vm.name,
        pool=session.pool.name,
        details=("; ".join(evidence), *console_tail(session, vm.uuid)),
    )
