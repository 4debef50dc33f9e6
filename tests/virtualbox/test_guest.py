"""The life of real guests of a real VirtualBox, by the command line alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.virtualbox.conftest import Lab

# A guest in a VirtualBox that is itself emulated takes three to thirteen minutes to boot.
pytestmark = [pytest.mark.lab_virtualbox, pytest.mark.full]

NEW = ("--memory", "160M", "--wait", "ready", "--timeout", "1200", "--quiet")


def test_a_guest_reads_its_cd_and_is_told_again(lab: Lab) -> None:
    made = lab.json("create-vm", "web01", "--provider", "virtualbox", *NEW, "--set", "color=red")
    assert made["state"] == "running"
    assert made["receipt"]["ready"]
    assert "10.0.2.15/24" in {each["address"] for each in made["addresses"]}
    lab.until("it prints so", lambda: "ims-guest: ready" in printed(lab))
    # It answers by its second serial port, and by VBoxControl as well.
    assert "/IMS/Receipt/nonce" in lab.vbox("guestproperty enumerate web01")
    leads_to_its_ssh_server(lab, made)
    its_secrets_are_nowhere(lab)
    told_again(lab)
    metrics_move(lab)
    stopped = lab.json("stop-vm", "web01", "--timeout", "600")
    assert stopped["state"] == "stopped"
    assert 'VMState="poweroff"' in lab.vbox("showvminfo web01 --machinereadable")
    lab.json("delete-vm", "web01")
    assert '"web01"' not in lab.vbox("list vms")


def test_a_guest_goes_on_where_it_was(lab: Lab) -> None:
    lab.json("create-vm", "web01", *NEW, "--set", "color=red")
    suspended_and_resumed(lab)
    paused_and_resumed(lab)
    put_back(lab)
    lab.json("stop-vm", "web01", "--force")
    lab.json("delete-vm", "web01")


def test_a_guest_that_reads_guest_properties_and_answers_by_one(lab: Lab) -> None:
    by = ("--context-carrier", "guest-properties")
    made = lab.json("create-vm", "props", *NEW, *by, "--set", "color=green")
    assert made["receipt"]["ready"]
    told = lab.vbox("guestproperty enumerate props")
    flags = {line.split()[-1] for line in told.splitlines() if line.startswith("/IMS/Context/")}
    assert flags == {"RDONLYGUEST"}
    assert re.search(r"^/IMS/Receipt/nonce +=", told, re.MULTILINE)
    again = lab.json(
        "update-context", "props", "--set", "color=blue", "--wait", "ready", "--timeout", "600"
    )
    assert again["receipt"]["ready"]
    assert again["context_digest"] != made["context_digest"]
    lab.json("stop-vm", "props", "--force")
    kept = lab.json("show-vm", "props")
    assert kept["receipt"]["ready"], "what it answered last outlives its power"
    lab.json("delete-vm", "props")


def printed(lab: Lab) -> str:
    return lab.cli("console-vm", "web01", "--log").stdout


def leads_to_its_ssh_server(lab: Lab, made: dict[str, Any]) -> None:
    (forward,) = made["forwards"]
    port = re.fullmatch(r"tcp 127\.0\.0\.1:(\d+) to port 22", forward)
    assert port
    assert f":{int(port[1]):04X} " in lab.host.run("cat /proc/net/tcp")


def its_secrets_are_nowhere(lab: Lab) -> None:
    found = lab.host.run("find /root/.local/share/ims -perm /077 ! -type l; :")
    assert found == ""


def told_again(lab: Lab) -> None:
    told = lab.json("update-context", "web01", "--set", "color=blue", "--timeout", "600")
    assert told["receipt"]["ready"]
    assert lab.json("show-context", "web01")["digest"] == told["context_digest"]


def metrics_move(lab: Lab) -> None:
    (before,) = lab.json("metrics", "web01")
    assert before["memory_max_bytes"] == 160 << 20
    assert before["memory_used_bytes"] is None, "no Guest Additions tell"
    assert before["net_rx_bytes"] is None

    def moved() -> bool:
        (now,) = lab.json("metrics", "web01")
        return bool(now["cpu_seconds"] > before["cpu_seconds"] > 0)

    lab.until("the processor time moves", moved)


def suspended_and_resumed(lab: Lab) -> None:
    told = lab.json("show-vm", "web01")
    lab.json("suspend-vm", "web01")
    saved = lab.json("show-vm", "web01")
    assert saved["state"] == "suspended"
    assert saved["receipt"] == told["receipt"]
    assert lab.json("resume-vm", "web01")["state"] == "running"
    now = lab.json("show-vm", "web01")
    assert now["receipt"] == told["receipt"], "it goes on, and does not answer again"
    assert now["context_digest"] == told["context_digest"]


def paused_and_resumed(lab: Lab) -> None:
    lab.json("pause-vm", "web01")
    assert lab.json("show-vm", "web01")["state"] == "paused"
    assert 'VMState="paused"' in lab.vbox("showvminfo web01 --machinereadable")
    assert lab.json("resume-vm", "web01")["state"] == "running"


def put_back(lab: Lab) -> None:
    """To a snapshot with its memory, from what it was told since."""
    then = lab.json("show-vm", "web01")
    lab.json("snapshot-vm", "web01", "--name", "then")
    assert lab.json("show-vm", "web01")["state"] == "running"
    since = lab.json("update-context", "web01", "--set", "color=grey", "--timeout", "600")
    assert since["context_digest"] != then["context_digest"]
    assert lab.cli("restore-snapshot", "web01", "then").returncode == 4
    lab.json("stop-vm", "web01", "--force")
    lab.json("restore-snapshot", "web01", "then")
    back = lab.json("show-vm", "web01")
    assert back["state"] == "suspended"
    assert back["context_digest"] == then["context_digest"]
    assert lab.json("resume-vm", "web01")["state"] == "running"
    (listed,) = lab.json("list-snapshots", "web01")
    assert (listed["name"], listed["memory"]) == ("then", True)
    lab.json("delete-snapshot", "web01", "then")
    assert lab.json("list-snapshots", "web01") == []
