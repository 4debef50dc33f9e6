"""The crash matrix on the KVM lab: kills, signals, no space, and a libvirtd that dies.

`make test` kills at a dozen points, `make test-full` has everything at every point.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.crash.kvm_ground import KvmGround
from tests.crash.matrix import FULL, KILLS, SCENARIOS, SIGNALS, Matrix, Scenario, two_of
from tests.labs.kvm import daemons
from tests.labs.processes import end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.labs.kvm import KvmLab

pytestmark = pytest.mark.lab_kvm

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
SOME = [each for each in SCENARIOS.values() if each.name != "create-defined"]


@pytest.fixture(scope="module")
def ground(kvm_lab: KvmLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KvmGround]:
    ground = KvmGround.make(tmp_path_factory.mktemp("ground"), kvm_lab, kvm_lab.uri)
    yield ground
    ground.close()


class Libvirtd:
    """The libvirtd that the lab started."""

    def __init__(self) -> None:
        self._parents: set[int] = set()

    def kill(self) -> None:
        """End it at once."""
        for process in daemons.started():
            if process.program == "libvirtd":
                stat = Path(f"/proc/{process.pid}/stat").read_text()
                self._parents.add(int(stat.rpartition(")")[2].split()[1]))
                end(process, at_once=True)

    def start(self) -> None:
        """Have it again; what it ran goes on."""
        daemons.start()
        for pid in list(self._parents):  # it ends when it has no more guests to wait for
            with suppress(ChildProcessError):  # another process started it
                if os.waitpid(pid, os.WNOHANG) == (0, 0):
                    continue
            self._parents.remove(pid)

    def restart(self) -> None:
        self.kill()
        self.start()


@pytest.fixture
def libvirtd(kvm_lab: KvmLab) -> Iterator[Libvirtd]:
    """One that is ours to kill."""
    if "libvirtd" not in dict(kvm_lab.started):
        pytest.skip("libvirtd is not the lab's own, so it is not killed")
    libvirtd = Libvirtd()
    yield libvirtd
    libvirtd.start()


@pytest.mark.parametrize("scenario", SOME, ids=lambda each: each.name)
def test_killed_at_some_points(
    ground: KvmGround, scenario: Scenario, say: Callable[[str], None]
) -> None:
    Matrix(ground, scenario, libvirt=True).prove(KILLS, choose=two_of, say=say)


def test_signals_and_a_libvirtd_that_dies_at_some_points(
    ground: KvmGround, libvirtd: Libvirtd, say: Callable[[str], None]
) -> None:
    matrix = Matrix(ground, SCENARIOS["create-running"], libvirt=True)
    matrix.prove(SIGNALS[::3], choose=two_of, say=say)
    matrix.prove_disturbed("libvirtd restarted", libvirtd.restart, choose=two_of, say=say)
    matrix.prove_disturbed("libvirtd killed", libvirtd.kill, libvirtd.start, choose=two_of, say=say)


@pytest.mark.full
@each_scenario
def test_killed_at_every_point(
    ground: KvmGround, scenario: Scenario, say: Callable[[str], None]
) -> None:
    Matrix(ground, scenario, libvirt=True).prove(KILLS, say=say)


@pytest.mark.full
@each_scenario
def test_killed_again_while_it_recovers(
    ground: KvmGround, scenario: Scenario, say: Callable[[str], None]
) -> None:
    Matrix(ground, scenario, libvirt=True).prove_killed_again(say=say)


@pytest.mark.full
@each_scenario
def test_interrupted_at_every_point(
    ground: KvmGround, scenario: Scenario, say: Callable[[str], None]
) -> None:
    Matrix(ground, scenario, libvirt=True).prove(SIGNALS[::3], say=say)


@pytest.mark.full
@each_scenario
def test_without_space_at_every_point(
    ground: KvmGround, scenario: Scenario, say: Callable[[str], None]
) -> None:
    Matrix(ground, scenario, libvirt=True).prove(FULL, say=say)


@pytest.mark.full
@each_scenario
def test_libvirtd_dies_and_is_back_at_once(
    ground: KvmGround, libvirtd: Libvirtd, scenario: Scenario, say: Callable[[str], None]
) -> None:
    matrix = Matrix(ground, scenario, libvirt=True)
    matrix.prove_disturbed("libvirtd restarted", libvirtd.restart, say=say)


@pytest.mark.full
@each_scenario
def test_libvirtd_dies_and_is_back_later(
    ground: KvmGround, libvirtd: Libvirtd, scenario: Scenario, say: Callable[[str], None]
) -> None:
    matrix = Matrix(ground, scenario, libvirt=True)
    matrix.prove_disturbed("libvirtd killed", libvirtd.kill, libvirtd.start, say=say)
