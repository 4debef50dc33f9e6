"""What goes wrong on demand, and hooks for whoever wants to act at an exact moment."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Container

__all__ = ["JOB_KINDS", "REQUEST_KINDS", "Fault", "Faults", "Hooks", "Kind", "Moment", "RequestLog"]

#: Instead of the operation; ``hang`` is until the client or the Manager closes the connection.
Before: TypeAlias = Literal["fault", "500", "401", "hang", "drop"]
#: The operation is done, and its answer lost; after ``die-after`` nobody listens any more.
After: TypeAlias = Literal["fault-after", "hang-after", "drop-after", "die-after"]
#: The operation is done, and this becomes of its answer.
Answer: TypeAlias = Literal["drip", "truncate", "huge", "entity"]
#: The answer is as always; the job that it began ends in ERROR, or takes ``seconds`` longer.
Job: TypeAlias = Literal["job-error", "slow"]
Kind: TypeAlias = Before | After | Answer | Job

REQUEST_KINDS: frozenset[str] = frozenset({*get_args(Before), *get_args(After), *get_args(Answer)})
JOB_KINDS: frozenset[str] = frozenset(get_args(Job))

#: The operation is asked for; it was done, but is not answered yet; its job begins to work in the
#: dom0; its job has ended and the status is set.
Moment: TypeAlias = Literal["before", "after", "job", "done"]


@dataclass
class Fault:
    """One kind of fault, for so many calls of an operation (``*``: of any)."""

    operation: str
    kind: Kind
    count: int = 1
    seconds: float = 0.0


class Faults:
    """The faults to come."""

    def __init__(self) -> None:
        """There are none yet."""
        self._lock = threading.Lock()
        self._coming: list[Fault] = []

    def add(self, operation: str, kind: Kind, count: int = 1, *, seconds: float = 0.0) -> None:
        """Have something go wrong.

        Args:
            operation: Its name; ``<Service>.wsdl`` for reading that; ``*`` for any.
            kind: What goes wrong.
            count: For how many calls; with -1 for all.
            seconds: For ``slow``, how much longer the job takes.
        """
        if kind not in REQUEST_KINDS | JOB_KINDS:
            raise ValueError(f"no kind of fault: {kind}")
        with self._lock:
            self._coming.append(Fault(operation, kind, count, seconds))

    def take(self, operation: str, kinds: Container[str]) -> Fault | None:
        """The fault for this call, of one of these kinds; it is used up by that."""
        with self._lock:
            for fault in self._coming:
                if fault.operation in {operation, "*"} and fault.kind in kinds:
                    fault.count -= 1
                    if not fault.count:
                        self._coming.remove(fault)
                    return fault
        return None

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._coming.clear()


@dataclass
class Hooks:
    """Calls of the test's own, in the thread that is at that moment of that operation."""

    _calls: dict[tuple[str, str], Callable[[], object]] = field(default_factory=dict)

    def at(self, moment: Moment, operation: str, call: Callable[[], object] | None) -> None:
        """Have this called; None calls it off."""
        if call is None:
            self._calls.pop((moment, operation), None)
        else:
            self._calls[moment, operation] = call

    def reached(self, moment: Moment, operation: str) -> None:
        """Call what is to be called now."""
        call = self._calls.get((moment, operation))
        if call is not None:
            call()


class RequestLog:
    """The requests that were understood, in the order in which they came."""

    def __init__(self) -> None:
        """There were none yet."""
        self._lock = threading.Lock()
        self._seen: list[tuple[str, float]] = []

    def note(self, operation: str) -> None:
        """Add one, at this time."""
        with self._lock:
            self._seen.append((operation, time.time()))

    def all(self) -> list[tuple[str, float]]:
        """Operations (or ``<Service>.wsdl``) with their times, in seconds since 1970."""
        with self._lock:
            return list(self._seen)

    def count(self, operation: str) -> int:
        """How often it was asked for."""
        return [name for name, _ in self.all()].count(operation)

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._seen.clear()
