"""A create of fifty VMs is killed at any time, some of them running: recovery leaves nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.labs.kvm.resources import virsh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kvm.conftest import Lab

pytestmark = pytest.mark.lab_kvm

COUNT = 50
OPTIONS = ("--wait", "ready", "--quiet")
NETWORK = """
[networks.lab]
network = "{network}"
cidr = "192.168.177.0/24"
range = "192.168.177.64-192.168.177.99"  # beside what DHCP gives
"""


@pytest.mark.parametrize(
    "turn", [*range(5), *(pytest.param(turn, marks=pytest.mark.full) for turn in range(5, 20))]
)
def test_what_was_being_made_when_it_was_killed_is_gone_after_recovery(
    lab: Lab, turn: int, say: Callable[[str], None]
) -> None:
    with lab.config.open("a") as config:
        config.write(NETWORK.format(network=lab.lab.network))
    before, files = lab.leftovers(), storage_files(lab.lab.pool_path)
    seconds = random.Random(turn).uniform(0.8, 5.0)  # noqa: S311 - a test's own, and repeatable
    # --wait ready: no guest has answered by then, so none is complete, and none may stay.
    creating = subprocess.Popen(
        [sys.executable, "-m", "ims_cli", "create-vm", "--count", str(COUNT), "victim", *OPTIONS],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        creating.wait(seconds)
    os.kill(creating.pid, signal.SIGKILL)
    creating.wait(30)
    made = {kind: len(names) - len(before[kind]) for kind, names in lab.leftovers().items()}
    running = len(virsh("list", "--name").split())
    say(f"killed after {seconds:.1f} s: {made}, {running} running")
    recovered = lab.cli("recover")
    assert recovered.returncode == 0, recovered.stdout + recovered.stderr
    assert lab.leftovers() == before
    assert storage_files(lab.lab.pool_path) == files
    assert lab.json("list-operations", "--unfinished") == []


def storage_files(directory: Path) -> dict[str, int]:
    """What lies in the lab's storage, by ls and not by libvirt."""
    return {path.name: path.stat().st_size for path in directory.iterdir()}
