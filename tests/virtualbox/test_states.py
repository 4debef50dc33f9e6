"""VirtualBox's states, each with its two words, and ours."""

from __future__ import annotations

import pytest

from ims_core.models import State
from ims_virtualbox.vboxmanage.states import OFF, SAVED, STATES, known_state

# MachineState in VirtualBox.xidl, and machineStateToName in VBoxManageInfo.cpp.
KNOWN = {
    "PoweredOff": ("poweroff", "powered off", State.STOPPED),
    "Saved": ("saved", "saved", State.SUSPENDED),
    "Teleported": ("teleported", "teleported", State.STOPPED),
    "Aborted": ("aborted", "aborted", State.CRASHED),
    "AbortedSaved": ("aborted-saved", "aborted-saved", State.SUSPENDED),
    "Running": ("running", "running", State.RUNNING),
    "Paused": ("paused", "paused", State.PAUSED),
    "Stuck": ("gurumeditation", "guru meditation", State.CRASHED),
    "Teleporting": ("teleporting", "teleporting", State.RUNNING),
    "LiveSnapshotting": ("livesnapshotting", "live snapshotting", State.RUNNING),
    "Starting": ("starting", "starting", State.STARTING),
    "Stopping": ("stopping", "stopping", State.STOPPING),
    "Saving": ("saving", "saving", State.STOPPING),
    "Restoring": ("restoring", "restoring", State.STARTING),
    "TeleportingPausedVM": ("teleportingpausedvm", "teleporting paused vm", State.PAUSED),
    "TeleportingIn": ("teleportingin", "teleporting (incoming)", State.STARTING),
    "DeletingSnapshotOnline": ("deletingsnapshotlive", "deleting snapshot live", State.RUNNING),
    "DeletingSnapshotPaused": (
        *("deletingsnapshotlivepaused", "deleting snapshot live paused"),
        State.PAUSED,
    ),
    "OnlineSnapshotting": ("onlinesnapshotting", "online snapshotting", State.PAUSED),
    "RestoringSnapshot": ("restoringsnapshot", "restoring snapshot", State.STOPPED),
    "DeletingSnapshot": ("deletingsnapshot", "deleting snapshot", State.STOPPED),
    "SettingUp": ("settingup", "setting up", State.STOPPED),
    "Snapshotting": ("snapshotting", "offline snapshotting", State.STOPPED),
}


@pytest.mark.parametrize("value", KNOWN, ids=str)
def test_both_words_of_a_state_mean_the_same_of_ours(value: str) -> None:
    short, listed, state = KNOWN[value]
    assert known_state(listed) == short
    assert STATES[short].state is state


def test_no_word_is_known_that_virtualbox_does_not_have() -> None:
    assert set(STATES) == {short for short, _, _ in KNOWN.values()}
    assert len({known.listed for known in STATES.values()}) == len(STATES)


@pytest.mark.parametrize("word", ["", "unknown", "Running", "frozen"])
def test_a_word_that_nobody_knows_stays_what_it_is(word: str) -> None:
    assert known_state(word) == word
    assert word not in STATES


def test_what_has_no_process_is_off_or_saved_and_never_both() -> None:
    assert {STATES[word].state for word in SAVED} == {State.SUSPENDED}
    assert {STATES[word].state for word in OFF} == {State.STOPPED, State.CRASHED}
    assert not {"gurumeditation", "settingup", "restoringsnapshot"} & {*OFF, *SAVED}
