"""Many guests over one connection, and looks at them that cost the same for one as for eight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ims_shell.ssh import SshShell
from tests.counting import counted
from tests.xen.conftest import MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.xen.conftest import Lab

# Each start takes a quarter of a minute under emulation.
pytestmark = [pytest.mark.lab_xen, pytest.mark.full]

SIZES = [pytest.param(3, 6, id="few"), pytest.param(8, 20, id="many")]
NEW = ("--memory", MEMORY, "--quiet", "--timeout", "1200")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is run in the dom0, one script for each round trip."""
    return counted(monkeypatch, ["run"], SshShell)


def connections(lab: Lab) -> int:
    """How many the dom0's SSH server let in so far, but for those of the lab's own."""
    return int(lab.dom0.run("journalctl -q -u ssh | grep -c 'Accepted publickey' || :"))


@pytest.mark.parametrize(("running", "defined"), SIZES)
def test_guests_made_by_one_command_take_one_connection_and_one_look(
    lab: Lab, calls: list[str], running: int, defined: int
) -> None:
    before = connections(lab)
    many = str(defined - running)
    lab.json("create-vm", "idle", "--count", many, "--wait", "defined", *NEW)
    assert connections(lab) == before + 1
    lab.json("create-vm", "busy-0", "--wait", "running", *NEW)
    one = (cost(calls, lab.ims.metrics), cost(calls, lab.ims.list_vms))
    before = connections(lab)
    lab.json("create-vm", "busy", "--count", str(running - 1), "--wait", "running", *NEW)
    assert connections(lab) == before + 1
    assert cost(calls, lab.ims.metrics) == one[0] == 1
    assert cost(calls, lab.ims.list_vms) == one[1] == 1
    found = lab.ims.list_vms()
    assert len(found) == defined
    assert sum(vm.state == "running" for vm in found) == running
    assert len(lab.ims.metrics()) == running
    names = [vm.name for vm in found]
    done = [lab.cli("delete-vm", name, "--quiet").returncode for name in names]
    assert set(done) == {0}


def cost(calls: list[str], verb: Callable[[], object]) -> int:
    """Round trips."""
    calls.clear()
    verb()
    return len(calls)
