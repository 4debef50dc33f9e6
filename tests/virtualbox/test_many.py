"""A look at thirty machines costs the host what a look at one costs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ims_shell.ssh import SshShell
from tests.counting import counted
from tests.virtualbox.standing_in import CALLS, REAL, instead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.virtualbox.conftest import Lab

MANY = 30
NEW = ("--memory", "64M", "--wait", "defined", "--quiet")
NOTING = f'#!/bin/sh\necho >>{CALLS}\nexec {REAL} "$@"\n'


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return counted(monkeypatch, ["run"], SshShell)


@pytest.fixture
def others(chroot: Lab) -> Iterator[Callable[[int], None]]:
    """Make so many machines of somebody else's."""
    made: list[int] = []

    def each(command: str) -> None:
        chroot.host.run(
            f"for number in $(seq {sum(made)}); do VBoxManage -q {command}; done </dev/null"
        )

    def make(count: int) -> None:
        made.append(count)
        each('createvm --name "crowd-$number" --register')

    yield make
    each('unregistervm "crowd-$number" --delete')


class Cost:
    """Of a verb: round trips, starts of VBoxManage, and everything that was started for them."""

    def __init__(self, lab: Lab, round_trips: list[str], verb: Callable[[], object]) -> None:
        """Run it, when VirtualBox's server has ended, so that it is started anew each time."""
        lab.until("VBoxSVC ends", lambda: not lab.host.run("pgrep -x VBoxSVC || :"))
        lab.host.run(f": >{CALLS}")
        round_trips.clear()
        before, begin = self._started(lab), time.monotonic()
        verb()
        self.seconds = time.monotonic() - begin
        self.round_trips = len(round_trips)
        self.tasks = self._started(lab) - before
        self.calls = len(lab.host.run(f"cat {CALLS}").splitlines())

    @staticmethod
    def _started(lab: Lab) -> int:
        """The newest process or thread of the lab's own PID namespace, which only counts up."""
        return int(lab.host.run("cat /proc/loadavg").split()[-1])


@pytest.mark.parametrize("whose", ["others", pytest.param("ours", marks=pytest.mark.full)])
def test_a_look_at_many_starts_no_more_than_a_look_at_one(
    chroot: Lab,
    round_trips: list[str],
    others: Callable[[int], None],
    whose: str,
    say: Callable[[str], None],
) -> None:
    verbs: dict[str, Callable[[], object]] = {
        "list-vms": lambda: chroot.ims.list_vms(include_foreign=True),
        "metrics": chroot.ims.metrics,
    }
    chroot.json("create-vm", "many-0", *NEW)
    chroot.ims.list_vms()  # now it is connected
    with instead(chroot.host, NOTING):
        one = {name: Cost(chroot, round_trips, verb) for name, verb in verbs.items()}
    if whose == "ours":
        chroot.json("create-vm", "many", "--count", str(MANY - 1), *NEW)
    else:
        others(MANY - 1)
    assert len(chroot.ims.list_vms(include_foreign=True)) == MANY
    with instead(chroot.host, NOTING):
        many = {name: Cost(chroot, round_trips, verb) for name, verb in verbs.items()}
    for name in verbs:
        first, last = one[name], many[name]
        say(
            f"virtualbox: {name} of 1 and of {MANY} machines ({whose}): {first.seconds:.2f} and"
            f" {last.seconds:.2f} s, {first.round_trips} and {last.round_trips} round trips,"
            f" VBoxManage started {first.calls} and {last.calls} times,"
            f" {first.tasks} and {last.tasks} processes and threads"
        )
        assert (last.round_trips, last.calls) == (first.round_trips, first.calls)
        # VirtualBox's server starts threads as time goes by, too; one for each machine it does not
        assert last.tasks - first.tasks < (MANY - 1) / 2
