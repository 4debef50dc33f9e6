"""The crash matrix on the KVM lab over a socket that is cut in the middle."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.crash.kvm_ground import KvmGround
from tests.crash.matrix import SCENARIOS, Matrix, Scenario
from tests.crash.wire import Wire
from tests.labs.kvm.daemons import LIBVIRT_SOCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.labs.kvm import KvmLab

pytestmark = [pytest.mark.lab_kvm, pytest.mark.full]

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    # The path of a socket must be short.
    with (
        tempfile.TemporaryDirectory(prefix="ims", dir="/tmp") as folder,
        Wire(Path(folder) / "socket", LIBVIRT_SOCKET) as wire,
    ):
        yield wire


@pytest.fixture(scope="module")
def ground(
    kvm_lab: KvmLab, wire: Wire, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KvmGround]:
    uri = f"qemu+unix:///system?socket={wire.path}"
    ground = KvmGround.make(tmp_path_factory.mktemp("ground"), kvm_lab, uri)
    yield ground
    ground.close()


@each_scenario
def test_cut_and_there_again(
    ground: KvmGround, wire: Wire, scenario: Scenario, say: Callable[[str], None]
) -> None:
    matrix = Matrix(ground, scenario, libvirt=True)
    matrix.prove_disturbed("cut", wire.cut, say=say)


@each_scenario
def test_cut_and_there_again_later(
    ground: KvmGround, wire: Wire, scenario: Scenario, say: Callable[[str], None]
) -> None:
    def unplug() -> None:
        wire.plugged = False
        wire.cut()

    def plug() -> None:
        wire.plugged = True

    matrix = Matrix(ground, scenario, libvirt=True)
    matrix.prove_disturbed("cut for long", unplug, plug, say=say)
