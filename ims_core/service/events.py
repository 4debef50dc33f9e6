"""Progress, as the caller is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = ["Event", "Listener", "Phase", "Watched", "What", "ignore"]


class Phase(StrEnum):
    """Where an operation is; in the order in which a create goes through them."""

    CONNECT = "connect"  # to an endpoint that was chosen, not configured
    RECOVER = "recover"  # what an earlier process left is ended
    FETCH = "fetch"  # a template image is downloaded, or read to check it
    CONVERT = "convert"  # a template image is made one of a format that the provider takes
    VALIDATE = "validate"  # nothing has been made yet
    UPLOAD = "upload"  # a template image goes into the pool
    CREATE = "create"
    START = "start"
    UPDATE = "update"  # a running guest gets a new context
    WAIT = "wait"
    COMPLETE = "complete"  # it is there; from now on it cannot be cancelled
    STOP = "stop"
    SUSPEND = "suspend"
    RESUME = "resume"
    PAUSE = "pause"
    SNAPSHOT = "snapshot"
    RESTORE = "restore"
    DELETE = "delete"
    ROLL_BACK = "roll-back"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Event:
    """One step of progress.

    Attributes:
        phase: Of the operation.
        percent: Of this phase, 0 to 100; None when it cannot be known.
        message: One line for a person.
        warning: Whether the person should read it even if they read no progress.
    """

    phase: Phase
    message: str
    percent: float | None = None
    warning: bool = False


What = Literal["started", "migrated", "stopped", "told", "answered", "failed", "lost", "listening"]


@dataclass(frozen=True, slots=True)
class Watched:
    """One thing that was seen or done.

    Attributes:
        at: Seconds since the epoch.
        what: ``started``, ``migrated`` or ``stopped`` for what happened to a VM; ``told``,
            ``answered`` or ``failed`` for what became of renewing its context; ``lost`` and
            ``listening`` for the connection.
        vm: Its name; empty where it is about the connection.
        message: For people.
    """

    at: float
    what: What
    vm: str = ""
    message: str = ""


Listener = Callable[[Event], None]
"""Called synchronously; an exception it raises cancels the operation, which is then undone."""


def ignore(_event: Event) -> None:
    """The listener of those who gave none."""
