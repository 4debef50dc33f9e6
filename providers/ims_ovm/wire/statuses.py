"""The states of a VM as the Manager tells them, and which of ours each is.

The constants are those of ``VirtualMachineBase`` in Oracle's Javadoc (E15446). What a Manager
writes into ``VmStatus.status`` and ``.code`` is not known; the constant's own name is assumed,
in any case and with any blanks or dashes, and a pool's ``statuses`` can tell others.
"""

from __future__ import annotations

import re
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from ims_core.errors import ConfigError
from ims_core.models import State

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Status", "Statuses"]


class Status(StrEnum):
    """All nineteen."""

    CLONING = "CLONING"
    CREATING = "CREATING"
    DELETING = "DELETING"
    DEPLOYING = "DEPLOYING"
    ERROR = "ERROR"
    INITIALIZING = "INITIALIZING"
    MIGRATING = "MIGRATING"
    PAUSED = "PAUSED"
    PAUSING = "PAUSING"
    POWEREDOFF = "POWEREDOFF"
    REBOOTING = "REBOOTING"
    RESUMING = "RESUMING"
    RUNNING = "RUNNING"
    SAVING = "SAVING"
    SHUTTINGDOWN = "SHUTTINGDOWN"
    SUSPENDED = "SUSPENDED"
    SUSPENDING = "SUSPENDING"
    UNKNOWN = "UNKNOWN"
    UNPAUSING = "UNPAUSING"

    @property
    def state(self) -> State:
        """Ours. A VM that is off is ``stopped`` here; who knows that it never ran says so."""
        return _STATES[self]

    @property
    def passing(self) -> bool:
        """Whether the Manager is at work on it, and another status will follow."""
        return self in _PASSING


_STATES: Mapping[Status, State] = MappingProxyType(
    {
        # Its disks are copied or written; it cannot be started.
        Status.CLONING: State.STOPPED,
        Status.CREATING: State.STOPPED,
        Status.DEPLOYING: State.STOPPED,
        Status.INITIALIZING: State.STOPPED,
        Status.SAVING: State.STOPPED,  # as a template
        Status.POWEREDOFF: State.STOPPED,
        Status.DELETING: State.STOPPING,
        Status.SHUTTINGDOWN: State.STOPPING,
        Status.SUSPENDING: State.STOPPING,
        Status.SUSPENDED: State.SUSPENDED,
        Status.RESUMING: State.STARTING,
        Status.REBOOTING: State.STARTING,
        Status.RUNNING: State.RUNNING,
        Status.MIGRATING: State.RUNNING,
        Status.PAUSING: State.RUNNING,
        Status.PAUSED: State.PAUSED,
        Status.UNPAUSING: State.PAUSED,
        # An action failed; whether the guest runs is not told.
        Status.ERROR: State.UNKNOWN,
        Status.UNKNOWN: State.UNKNOWN,
    }
)
_PASSING = frozenset(
    {
        *(Status.CLONING, Status.CREATING, Status.DELETING, Status.DEPLOYING, Status.INITIALIZING),
        *(Status.MIGRATING, Status.PAUSING, Status.REBOOTING, Status.RESUMING, Status.SAVING),
        *(Status.SHUTTINGDOWN, Status.SUSPENDING, Status.UNPAUSING),
    }
)
_SEPARATORS = re.compile(r"[\s_-]+")


class Statuses:
    """Reads statuses as a site's Manager writes them."""

    def __init__(self, told: Mapping[str, str]) -> None:
        """Use the site's own words.

        Args:
            told: Names of constants by what the Manager writes, its text or its code.

        Raises:
            ConfigError: There is no such constant.
        """
        self._words = {each.value: each for each in Status}
        for word, name in told.items():
            if name.upper() not in Status.__members__:
                raise ConfigError(
                    f"statuses.{word} is {name!r}, which is no status",
                    hint=f"statuses: {', '.join(Status)}",
                )
            self._words[_plain(word)] = Status[name.upper()]

    def read(self, text: str | None, code: int | None) -> Status:
        """The status of that text, else of that code; ``UNKNOWN`` for what nobody has told."""
        for word in (text, code):
            if word is not None and (found := self._words.get(_plain(str(word)))):
                return found
        return Status.UNKNOWN


def _plain(word: str) -> str:
    return _SEPARATORS.sub("", word).upper()
