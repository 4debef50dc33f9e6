"""The hypervisor's words in those of IMS: its states, its refusals, and the mark that it keeps."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import ParamSpec, TypeVar

from ims_core.errors import (
    AccessDeniedError,
    BusyError,
    CapacityError,
    ConflictError,
    HypervisorError,
    ImsError,
    NotFoundError,
    UnavailableError,
)
from ims_core.models import Mark, State

from .hypervisor import ApiError, Machine

__all__ = ["ADDRESSES", "MARK", "OFF", "ask", "mark_of", "mark_text", "state_of"]

P = ParamSpec("P")
T = TypeVar("T")

MARK = "ims.mark"
ADDRESSES = "ims.addresses"
"""Tags of a machine: our mark, and the static addresses that it was promised."""

# YOURS: every power state of your hypervisor. Do not guess: what is missing here is UNKNOWN, and
# DEFINED is what was never started (sentence 15).
STATES = {
    "new": State.DEFINED,
    "starting": State.STARTING,
    "on": State.RUNNING,
    "frozen": State.PAUSED,
    "saved": State.SUSPENDED,
    "stopping": State.STOPPING,
    "off": State.STOPPED,
    "failed": State.CRASHED,
}
OFF = (State.DEFINED, State.STOPPED, State.CRASHED)

# YOURS: every reason for which your hypervisor refuses. The error's class decides about the exit
# status, and whether it is worth to try again; a code of its own says more. What is missing here
# is a HypervisorError. Whatever is busy or locked is BusyError (sentence 3).
ERRORS: dict[str, tuple[type[ImsError], str]] = {
    "machine-exists": (ConflictError, "vm-exists"),
    "no-machine": (NotFoundError, "vm-not-found"),
    "wrong-power": (ConflictError, "vm-running"),
    "image-exists": (ConflictError, "template-exists"),
    "no-image": (NotFoundError, "template-not-found"),
    "image-in-use": (ConflictError, "template-in-use"),
    "storage-full": (CapacityError, ""),
    "network-full": (CapacityError, ""),
    "locked": (BusyError, ""),
    "forbidden": (AccessDeniedError, ""),
    "unreachable": (UnavailableError, ""),
}


def ask(request: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Make one request to the hypervisor; what it refuses is raised as an error of IMS."""
    # YOURS: each request ends in bounded time, even if nobody answers: UnavailableError
    # (sentence 3). Most client libraries take a timeout when they connect.
    try:
        return request(*args, **kwargs)
    except ApiError as error:
        kind, code = ERRORS.get(error.reason, (HypervisorError, ""))
        raise kind(str(error), code=code) from error


def state_of(machine: Machine) -> State:
    """The state of a machine."""
    return STATES.get(machine.power, State.UNKNOWN)


def mark_text(mark: Mark) -> str:
    """A mark as a tag keeps it."""
    return json.dumps(asdict(mark))


def mark_of(machine: Machine) -> Mark | None:
    """The mark of a machine; None if it has none, or one that was copied from another machine."""
    # YOURS: where your hypervisor keeps text of ours with a VM: metadata, tags, a description. It
    # must be written in one step and outlive restarts of the hypervisor.
    try:
        mark = Mark.from_dict(json.loads(machine.tags.get(MARK, "null")))
    except (ValueError, TypeError):
        return None
    return mark if mark.vm == machine.uuid else None
