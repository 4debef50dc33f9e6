"""The points of a run, counted as they come, and the accident that happens at one of them."""

from __future__ import annotations

import json
import os
import re
import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["KILLED", "MISSED", "Plan", "Point", "Points", "needs_space"]

KILLED = 137
"""The exit status of a victim that was killed, as a shell shows it for SIGKILL."""
MISSED = "missed"
"""Begins a line of the report about a change that no wrapper saw."""

_FREEING = ("unlink", "remove", "rmdir", "delete", "destroy", "undefine", "chmod", "chown")
_RANDOM = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"[0-9a-f]{16}"), "OPERATION"),
)

# The wrapped ones are for the product's files, not for ours.
_write, _read, _exit, _kill = os.write, os.read, os._exit, os.kill


@dataclass(frozen=True, slots=True)
class Point:
    """Something that a run changes: ``libvirt``, ``file`` or ``store``, and what in it."""

    number: int
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.number} {self.kind} {self.name}"

    @classmethod
    def parse(cls, line: str) -> Point:
        number, kind, name = line.split(" ", 2)
        return cls(int(number), kind, name)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen in a run.

    Attributes:
        roots: The directories whose files are watched, by the name they have in a report.
        report: File to which the points are written as they are reached.
        libvirt: Whether libvirt's calls are watched, too.
        mode: ``record`` lets it run; ``kill`` ends the process; ``full`` makes the call fail for
            want of space; ``signal`` sends one to the process; ``pause`` waits for the parent.
        number: The point at which it happens, before or after it.
        lasting: All later writes fail as well.
        here, go: The file descriptors over which a pause is told, and ended.
    """

    roots: dict[str, str]
    report: str
    libvirt: bool = False
    mode: Literal["record", "kill", "full", "signal", "pause"] = "record"
    number: int = 0
    side: Literal["before", "after"] = "before"
    lasting: bool = False
    signal: int = 0
    here: int = -1
    go: int = -1

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        return cls(**json.loads(text))


@dataclass
class Points:
    """Counts the points of this process, whatever thread they come from."""

    plan: Plan
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _number: int = 0
    _local: threading.local = field(default_factory=threading.local)

    def __post_init__(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._report = os.open(self.plan.report, flags, 0o600)

    @property
    def inside(self) -> bool:
        """Whether this thread is in a call that is watched: what that calls is part of it."""
        return bool(getattr(self._local, "inside", False))

    @contextmanager
    def passing(self) -> Iterator[None]:
        """A call that a wrapper has seen, and that changes nothing."""
        before, self._local.inside = self.inside, True
        try:
            yield
        finally:
            self._local.inside = before

    @contextmanager
    def reached(self, kind: str, name: str, error: Callable[[], Exception]) -> Iterator[None]:
        """A call that changes something.

        Args:
            kind: Of the point, and ``name`` likewise.
            error: What the call raises when there is no space left.
        """
        if self.inside:
            yield
            return
        with self._lock:
            self._number += 1
            number = self._number
            self._say(str(Point(number, kind, plain(name))))
        plan = self.plan
        if plan.mode == "full":
            later = plan.lasting and number > plan.number and needs_space(name)
            if number == plan.number or later:
                raise error()
        elif (number, plan.side) == (plan.number, "before"):
            self._accident()
        try:
            with self.passing():
                yield
        finally:
            if (number, plan.side) == (plan.number, "after"):
                self._accident()

    def missed(self, what: str) -> None:
        """A change that no wrapper saw; the matrix would have a hole there."""
        self._say(f"{MISSED} {what}")

    def _say(self, line: str) -> None:
        _write(self._report, f"{line}\n".encode())

    def _accident(self) -> None:
        match self.plan.mode:
            case "kill":
                _exit(KILLED)
            case "signal":
                _kill(os.getpid(), self.plan.signal)
            case "pause":
                _write(self.plan.here, b"!")
                _read(self.plan.go, 1)


def needs_space(name: str) -> bool:
    """Whether a point of that name writes something; what removes needs no space."""
    return not name.split(maxsplit=1)[0].rpartition(".")[2].startswith(_FREEING)


def plain(name: str) -> str:
    """A name without what is drawn anew in every run."""
    for pattern, word in _RANDOM:
        name = pattern.sub(word, name)
    return name
