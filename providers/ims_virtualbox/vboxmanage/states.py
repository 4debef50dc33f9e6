"""The states of VirtualBox's machines, and ours.

VBoxManage has two words for each (``machineStateToName`` in VBoxManageInfo.cpp): one for
``showvminfo --machinereadable``, the other for lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ims_core.models import State

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OFF", "SAVED", "STATES", "Known", "known_state"]


class Known(NamedTuple):
    """One state: its word in a list, and what it means to us."""

    listed: str
    state: State


STATES: Mapping[str, Known] = {
    "poweroff": Known("powered off", State.STOPPED),
    "saved": Known("saved", State.SUSPENDED),
    "teleported": Known("teleported", State.STOPPED),
    "aborted": Known("aborted", State.CRASHED),
    "aborted-saved": Known("aborted-saved", State.SUSPENDED),
    "running": Known("running", State.RUNNING),
    "paused": Known("paused", State.PAUSED),
    "gurumeditation": Known("guru meditation", State.CRASHED),
    "livesnapshotting": Known("live snapshotting", State.RUNNING),
    "teleporting": Known("teleporting", State.RUNNING),
    "starting": Known("starting", State.STARTING),
    "stopping": Known("stopping", State.STOPPING),
    "saving": Known("saving", State.STOPPING),
    "restoring": Known("restoring", State.STARTING),
    "teleportingpausedvm": Known("teleporting paused vm", State.PAUSED),
    "teleportingin": Known("teleporting (incoming)", State.STARTING),
    "deletingsnapshotlive": Known("deleting snapshot live", State.RUNNING),
    "deletingsnapshotlivepaused": Known("deleting snapshot live paused", State.PAUSED),
    "onlinesnapshotting": Known("online snapshotting", State.PAUSED),
    "restoringsnapshot": Known("restoring snapshot", State.STOPPED),
    "deletingsnapshot": Known("deleting snapshot", State.STOPPED),
    "settingup": Known("setting up", State.STOPPED),
    "snapshotting": Known("offline snapshotting", State.STOPPED),
}
"""By the word of ``--machinereadable``."""

OFF = ("poweroff", "teleported", "aborted")
"""No process runs the machine, and no memory of it is kept."""
SAVED = ("saved", "aborted-saved")
"""No process runs it, and its memory is kept."""

_LISTED = {known.listed: word for word, known in STATES.items()}


def known_state(listed: str) -> str:
    """The word of ``--machinereadable`` for one of a list; an unknown one stays what it is."""
    return _LISTED.get(listed, listed)
