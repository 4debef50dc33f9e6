"""Starting and stopping machines that are in odd states, locked, or deaf."""

from __future__ import annotations

import time
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import BusyError, ConflictError, DeadlineError, HypervisorError, ImsError
from ims_virtualbox import host as hosts
from ims_virtualbox import running as at_work
from tests.virtualbox.pretended import UUIDS, Machine, PretendedHost, running, settings_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_virtualbox import VirtualBoxProvider

A, B = UUIDS[:2]
LOCKED = (
    "VBoxManage: error: The machine 'web' is already locked by a session (or being locked or"
    " unlocked)\n"
)
LIMITED = "VBoxManage: error: The object functionality is limited\n"
NOT_NOW = (
    "VBoxManage: error: Invalid machine state: Starting (must be Running, Paused or Stuck)\n"
    "VBoxManage: error: Details: code VBOX_E_INVALID_VM_STATE (0x80bb0002), component Console\n"
)
GONE = f"VBoxManage: error: Could not find a registered machine with UUID {{{A}}}\n"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here takes as long as a real machine."""
    monkeypatch.setattr(hosts, "LOCK_SECONDS", 0.2)
    monkeypatch.setattr(hosts, "_PAUSE", 0.02)
    monkeypatch.setattr(at_work, "PRESS_AGAIN_AFTER", 0.1)
    monkeypatch.setattr(at_work, "_ENDING_SECONDS", 0.5)
    monkeypatch.setattr(at_work, "_PAUSE", 0.02)


def saved(uuid: str = A, *, aborted: bool = False) -> Machine:
    attributes = 'stateFile="x.sav"' + (' aborted="true"' if aborted else "")
    return Machine(uuid=uuid, content=settings_file(uuid, "web", attributes=attributes))


def words(host: PretendedHost) -> list[str]:
    """What VBoxManage was asked to do."""
    return [" ".join(each) for each in host.asked if each[0] != "showvminfo"]


# --- stopping ---


def test_a_guest_that_never_stops_is_given_up_in_time_and_keeps_running() -> None:
    host = PretendedHost(running())
    begin = time.monotonic()
    with pytest.raises(DeadlineError):
        host.provider().stop(A, force=False, timeout=0.35)
    assert 0.3 < time.monotonic() - begin < 5
    presses = words(host)
    assert set(presses) == {f"controlvm {A} acpipowerbutton"}
    assert 2 <= len(presses) <= 4, "a guest that was booting did not hear the first"


def test_no_time_is_one_press_and_the_deadline() -> None:
    with pytest.raises(DeadlineError):
        PretendedHost(running()).provider().stop(A, force=False, timeout=0.0)


def test_a_guest_that_goes_off_by_itself_at_that_moment_was_stopped() -> None:
    host = PretendedHost(Machine(states=deque(["running", "running", "poweroff"])))
    host.refusals["controlvm"] = deque([NOT_NOW])
    host.provider().stop(A, force=False, timeout=5)


def test_a_machine_whose_settings_could_not_be_read_is_tried_once_more_after_a_list() -> None:
    host = PretendedHost(Machine(states=deque(["running", "poweroff"])))
    host.refusals["controlvm"] = deque([LIMITED])
    host.provider().stop(A, force=True, timeout=5)
    power = ("controlvm", A, "poweroff")
    begin = host.asked.index(power)
    assert host.asked[begin : begin + 3] == [power, ("list", "vms"), power]


def test_a_machine_whose_settings_cannot_be_read_is_told_as_such() -> None:
    host = PretendedHost(running())
    host.refusals["controlvm"] = deque([LIMITED, LIMITED])
    with pytest.raises(HypervisorError) as caught:
        host.provider().stop(A, force=True, timeout=5)
    assert caught.value.code == "vm-inaccessible"


def test_a_machine_that_is_removed_while_it_stops_was_stopped() -> None:
    host = PretendedHost(Machine(states=deque(["stopping"])))
    host.refusals["showvminfo"] = deque([GONE])
    host.provider().stop(A, force=False, timeout=5)


@pytest.mark.parametrize("word", ["saved", "aborted-saved"])
def test_a_guest_that_somebody_suspends_meanwhile_cannot_be_asked(word: str) -> None:
    host = PretendedHost(Machine(states=deque(["saving", "saving", word])))
    with pytest.raises(ConflictError) as caught:
        host.provider().stop(A, force=False, timeout=5)
    assert caught.value.code == "vm-suspended"
    assert words(host) == []


@pytest.mark.parametrize("state", ["starting", "restoring", "saving", "paused", "gurumeditation"])
def test_a_button_is_pressed_only_where_a_guest_runs(state: str) -> None:
    host = PretendedHost(running(state))
    with pytest.raises(DeadlineError):
        host.provider().stop(A, force=False, timeout=0.1)
    assert words(host) == []


@pytest.mark.parametrize("state", ["running", "paused", "gurumeditation", "teleporting"])
def test_force_takes_the_power_away(state: str) -> None:
    host = PretendedHost(Machine(states=deque([state, "poweroff"])))
    host.machines[0].states.appendleft(state)
    host.provider().stop(A, force=True, timeout=0)
    assert f"controlvm {A} poweroff" in words(host)


@pytest.mark.parametrize("state", ["starting", "restoring"])
def test_force_waits_for_what_is_under_way_and_then_takes_the_power(state: str) -> None:
    host = PretendedHost(Machine(states=deque([state, "running", "poweroff"])))
    host.refusals["controlvm"] = deque([NOT_NOW, NOT_NOW])
    host.provider().stop(A, force=True, timeout=0)
    assert words(host) == [f"controlvm {A} poweroff"] * 3


def test_force_gives_up_memory_that_is_saved_meanwhile() -> None:
    host = PretendedHost(Machine(states=deque(["saving", "saved", "poweroff"])))
    host.refusals["controlvm"] = deque([NOT_NOW, NOT_NOW])
    host.provider().stop(A, force=True, timeout=0)
    assert words(host) == [*[f"controlvm {A} poweroff"] * 2, f"discardstate {A}"]


@pytest.mark.parametrize("aborted", [False, True], ids=["saved", "aborted-saved"])
def test_force_gives_up_saved_memory_and_asking_does_not(*, aborted: bool) -> None:
    host = PretendedHost(saved(aborted=aborted))
    with pytest.raises(ConflictError) as caught:
        host.provider().stop(A, force=False, timeout=1)
    assert caught.value.code == "vm-suspended"
    assert words(host) == []
    host.provider().stop(A, force=True, timeout=0)
    assert words(host) == [f"discardstate {A}"]


def test_a_machine_that_stays_what_it_is_ends_a_forced_stop_too() -> None:
    host = PretendedHost(running("stopping"))
    host.refusals["controlvm"] = deque(repeat(NOT_NOW, 1000))
    with pytest.raises(HypervisorError, match="stopping still"):
        host.provider().stop(A, force=True, timeout=0)


@pytest.mark.parametrize("force", [False, True], ids=["asked", "forced"])
@pytest.mark.parametrize("attributes", ["", 'aborted="true"'], ids=["off", "aborted"])
def test_what_is_off_is_stopped_already(attributes: str, *, force: bool) -> None:
    host = PretendedHost(Machine(content=settings_file(A, "web", attributes=attributes)))
    host.provider().stop(A, force=force, timeout=0)
    assert host.asked == []


# --- locked ---

CHANGES: dict[str, Callable[[VirtualBoxProvider], object]] = {
    "stop": lambda provider: provider.stop(A, force=True, timeout=0),
    "suspend": lambda provider: provider.suspend(A),
    "pause": lambda provider: provider.pause(A),
}


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_machine_that_stays_locked_is_busy_within_a_bound(change: str) -> None:
    host = PretendedHost(running())
    host.refusals["controlvm"] = deque(repeat(LOCKED, 1000))
    begin = time.monotonic()
    with pytest.raises(BusyError):
        CHANGES[change](host.provider())
    assert time.monotonic() - begin < 5


def test_a_lock_that_goes_away_is_waited_for() -> None:
    host = PretendedHost(running())
    host.refusals["controlvm"] = deque([LOCKED, LOCKED])
    host.provider().pause(A)
    assert words(host) == [f"controlvm {A} pause"] * 3


# --- starting ---


def code_of(change: Callable[[], object]) -> str:
    with pytest.raises(ImsError) as caught:
        change()
    return caught.value.code


RUNNING = ["running", "paused", "starting", "saving", "livesnapshotting", "settingup", "odd"]


@pytest.mark.parametrize("state", RUNNING)
def test_a_machine_that_a_process_has_is_not_started(state: str) -> None:
    host = PretendedHost(running(state))
    assert code_of(lambda: host.provider().start(A, None)) == "vm-running"
    assert words(host) == []


def test_saved_memory_is_not_lost_by_a_start() -> None:
    for machine in (saved(), saved(aborted=True)):
        host = PretendedHost(machine)
        assert code_of(lambda host=host: host.provider().start(A, None)) == "vm-suspended"  # type: ignore[misc]
        assert words(host) == []


def test_what_virtualbox_gave_up_on_loses_its_power_before_it_starts_again() -> None:
    host = PretendedHost(Machine(states=deque(["gurumeditation", "poweroff"])))
    host.machines[0].states.appendleft("gurumeditation")
    host.provider(ssh_ports="2200-2200").start(A, None)
    assert words(host)[0] == f"controlvm {A} poweroff"
    assert words(host)[-1] == f"startvm {A} --type headless"


def test_what_a_guest_wrote_is_kept_before_its_power_comes() -> None:
    host = PretendedHost(Machine())
    host.provider().start(A, None)
    assert host.ran[-2:] == ["keep", "vboxmanage"]


def test_a_port_that_another_machine_has_is_changed_before_a_start() -> None:
    host = PretendedHost(Machine(), Machine(uuid=B, name="db"))
    host.provider(ssh_ports="2200-2205").start(A, None)
    assert words(host) == [
        f"modifyvm {A} --natpf1 delete ims-ssh --natpf1 ims-ssh,tcp,127.0.0.1,2201,,22",
        f"startvm {A} --type headless",
    ]


def test_when_no_port_is_left_the_machine_keeps_its_rule() -> None:
    host = PretendedHost(Machine(), Machine(uuid=B, name="db"))
    assert code_of(lambda: host.provider(ssh_ports="2200-2200").start(A, None)) == "ports-used-up"
    assert words(host) == []


# --- suspending ---


@pytest.mark.parametrize("state", ["poweroff", "gurumeditation"])
def test_what_cannot_go_on_is_not_resumed(state: str) -> None:
    host = PretendedHost(running(state))
    assert code_of(lambda: host.provider().resume(A)) == "vm-not-suspended"
    assert words(host) == []


def test_a_machine_goes_on_from_where_it_was() -> None:
    for machine, word in (
        (saved(), f"startvm {A} --type headless"),
        (saved(aborted=True), f"startvm {A} --type headless"),
        (running("paused"), f"controlvm {A} resume"),
    ):
        host = PretendedHost(machine)
        host.provider().resume(A)
        assert words(host) == [word]


def test_what_is_as_it_is_to_be_is_left_so() -> None:
    held = PretendedHost(running("paused"))
    held.provider().pause(A)
    at_it = PretendedHost(running())
    at_it.provider().resume(A)
    kept = PretendedHost(saved())
    kept.provider().suspend(A)
    assert words(held) + words(at_it) + words(kept) == []


@pytest.mark.parametrize("word", ["suspend", "pause"])
def test_what_is_off_cannot_be_held(word: str) -> None:
    provider = PretendedHost(Machine()).provider()
    assert code_of(lambda: getattr(provider, word)(A)) == "vm-not-running"


def test_saved_memory_cannot_be_held() -> None:
    assert code_of(lambda: PretendedHost(saved()).provider().pause(A)) == "vm-suspended"


# --- removing ---


def test_settings_that_only_name_a_machine_keep_their_folder() -> None:
    mine, other = "web-0123456789abcdef", "db-0123456789abcdef"
    host = PretendedHost()
    host.left = {
        f"{mine}/web/web.vbox": settings_file(A, "web"),
        f"{other}/db/db.vbox": settings_file(
            B, "db", body=f'<Description>uuid="{{{A}}}"</Description>'
        ),
        "elsewhere/x/x.vbox": settings_file(A, "x"),
        f"cut-{mine[-16:]}/x/x.vbox": settings_file(A, "x")[:200],
    }
    host.provider().delete(A)
    assert [each for each in host.asked if each[0] == "remove"] == [("remove", mine)]


def test_a_copy_of_settings_in_a_machine_s_folder_does_not_remove_that_machine() -> None:
    host = PretendedHost(Machine(uuid=B))
    host.left = {f"{host.machines[0].folder}/old/old.vbox": settings_file(A, "old")}
    host.provider().delete(A)
    assert words(host) == []
