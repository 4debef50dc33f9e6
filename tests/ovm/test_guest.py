"""The seed's lifecycle table, against the lab: a real guest of a real Xen reads bootparams.conf."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.guest_console import run_in_guest
from tests.same_context import ASKED, COMMAND, SEEN

if TYPE_CHECKING:
    from tests.ovm.lab import Lab

pytestmark = pytest.mark.lab_xen


def test_a_vm_is_what_was_ordered_until_it_is_deleted(lab: Lab) -> None:
    """One VM, because each of its boots takes long under emulation."""
    made = lab.json(*COMMAND, "--provider", "ovm")
    assert made["state"] == "running"
    assert made["receipt"]["ready"]
    # What the guests of the other providers see, who are told by the same command line.
    assert run_in_guest(lab.ims, "same01", ASKED).splitlines() == SEEN
    folder = folder_of(lab)
    it_is_what_was_ordered(lab, folder)
    the_disk_holds_ours_and_the_templates_files(lab, folder)
    lab.json("stop-vm", "same01", "--timeout", "600")
    assert folder not in lab.domains()
    stopped = lab.json("show-vm", "same01")
    assert stopped["state"] == "stopped"
    assert stopped["receipt"]["ready"], "the last answer is kept"
    lab.json("delete-vm", "same01")
    assert lab.json("list-vms", "--all") == []


@pytest.mark.full  # tests/xen asks the same of the same Xen in `make test`
def test_a_vm_goes_on_where_it_was_suspended(lab: Lab) -> None:
    lab.json(*COMMAND, "--provider", "ovm")
    run_in_guest(lab.ims, "same01", "echo in-memory >/run/noted")
    metrics_are_there(lab)
    suspended_and_resumed(lab, folder_of(lab))
    lab.json("delete-vm", "same01")


def folder_of(lab: Lab) -> str:
    (folder,) = lab.dom0.run("ls /OVS/running_pool").split()
    assert re.fullmatch("[0-9]+_same01", folder)
    return folder


def it_is_what_was_ordered(lab: Lab, folder: str) -> None:
    config = lab.dom0.run(f"cat /OVS/running_pool/{folder}/vm.cfg")
    assert "/OVS/seed_pool" not in config, "its disks are the copies"
    assert "memory = 128" in config
    domid = lab.domains()[folder]
    mac = lab.dom0.run(f"xenstore-read /local/domain/{domid}/device/vif/0/mac").strip()
    assert mac.upper() in config
    assert mac in lab.dom0.run(f"cat /OVS/running_pool/{folder}/ims/vm.json")


def metrics_are_there(lab: Lab) -> None:
    (now,) = lab.json("metrics", "same01")
    assert now["memory_max_bytes"] == 128 << 20, "what it has; xentop's maximum has slack"
    assert now["disk_read_bytes"] > 0
    assert now["vcpus"] == 1
    assert now["net_tx_bytes"] is not None


def the_disk_holds_ours_and_the_templates_files(lab: Lab, folder: str) -> None:
    """By dom0's own kernel; the guest has left it by now."""
    told = lab.dom0.run(
        "mkdir /tmp/look; mount -o loop,ro"
        f" /OVS/running_pool/{folder}/Bootparams.img /tmp/look; ls /tmp/look; cat /tmp/look/README;"
        " umount /tmp/look; rmdir /tmp/look;"
        f" blkid -p -o export /OVS/running_pool/{folder}/Bootparams.img"
    )
    assert {"bootparams.conf", "ims.files", "ims.nonce", "README"} <= set(told.split())
    assert "Not ours to change." in told
    assert "LABEL=IMS" in told
    assert "UUID=2E24-EC82" in told


def suspended_and_resumed(lab: Lab, folder: str) -> None:
    told = lab.json("show-vm", "same01")
    assert told["receipt"]["ready"]
    lab.json("suspend-vm", "same01", "--timeout", "600")
    assert folder not in lab.domains()
    assert lab.json("show-vm", "same01")["state"] == "suspended"
    assert lab.json("resume-vm", "same01", "--timeout", "600")["state"] == "running"
    assert run_in_guest(lab.ims, "same01", "cat /run/noted") == "in-memory"
    now = lab.json("show-vm", "same01")
    assert now["receipt"] == told["receipt"], "a new domain has none, and the last is kept"
    assert told_addresses(now) == told_addresses(told) != []


def told_addresses(vm: dict[str, Any]) -> list[str]:
    return [each["address"] for each in vm["addresses"] if each["source"] == "receipt"]
