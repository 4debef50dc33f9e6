"""Real PV guests on a real Xen: told by xenstore, by a CD and by a disk, and told again."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ims_core.errors import ConflictError
from tests.xen.conftest import MEMORY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.xen.conftest import Lab

pytestmark = pytest.mark.lab_xen

NEW = ("--memory", MEMORY, "--wait", "ready", "--timeout", "1200")


def test_a_guest_keeps_what_it_was_told_through_its_whole_life(lab: Lab) -> None:
    """One VM, because each of its boots takes long under emulation."""
    made = lab.json("create-vm", "web01", *NEW, "--set", "color=red", "--secret", secret(lab))
    assert made["state"] == "running"
    assert made["receipt"]["ready"]
    keys_are_for_the_guest_to_read_only(lab)
    told_again(lab)
    its_console_answers(lab)
    metrics_move(lab)
    suspended_and_resumed(lab)
    rebooted_from_inside(lab)
    lab.json("stop-vm", "web01", "--timeout", "600")
    assert "web01" not in lab.domains()
    stopped = lab.json("show-vm", "web01")
    assert stopped["state"] == "stopped"
    lab.json("delete-vm", "web01")


def secret(lab: Lab) -> str:
    path = lab.config.parent / "secret"
    path.write_text("hush-hush-it-is-secret")
    return f"token={path}"


def keys_are_for_the_guest_to_read_only(lab: Lab) -> None:
    domid = lab.domains()["web01"]
    listed = lab.dom0.run(f"xenstore-ls -fp /local/domain/{domid}/vm-data")
    permissions = set(re.findall(r"\((n[^)]*)\)", listed))
    assert permissions == {f"n0,r{domid}"}
    # Neither in a log of the toolstack nor in a file that others may read.
    found = lab.dom0.run(
        "grep -rl hush-hush /var/log/xen /etc/xen 2>/dev/null; find /var/lib/ims -perm /077"
    )
    assert found == ""


def told_again(lab: Lab) -> None:
    before = lab.domains()["web01"]
    told = lab.json("update-context", "web01", "--set", "color=blue", "--timeout", "600")
    assert told["receipt"]["ready"]
    assert lab.domains()["web01"] == before, "it was not rebooted"
    assert lab.json("show-context", "web01")["digest"] == told["context_digest"]


def its_console_answers(lab: Lab) -> None:
    heard = b""

    def answered() -> bool:
        nonlocal heard
        heard += console.read(1.0)
        return b"typed-at-web01" in heard

    with closing(lab.ims.open_console("web01")) as console:
        console.write(b"\necho typed-at-$(hostname)\n")
        lab.until("the guest's shell answers", answered)
        with pytest.raises(ConflictError) as caught:
            lab.ims.open_console("web01")
        assert caught.value.code == "console-in-use"


def metrics_move(lab: Lab) -> None:
    (before,) = lab.json("metrics", "web01")
    lab.on_console(
        "web01",
        "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done;"
        " dd if=/dev/zero of=/root/x bs=64k count=64; sync; ping -c 3 10.0.2.15",
    )

    def moved() -> bool:
        (now,) = lab.json("metrics", "web01")
        counters = ("cpu_seconds", "disk_write_bytes", "net_rx_bytes", "net_tx_bytes")
        return all(now[each] > before[each] for each in counters)

    lab.until("the metrics move", moved)
    (after,) = lab.json("metrics", "web01")
    assert after["timestamp"] > before["timestamp"]
    assert after["disk_write_bytes"] - before["disk_write_bytes"] >= 64 * 64 * 1024
    assert after["memory_max_bytes"] == 128 << 20
    assert after["memory_used_bytes"] is None


def suspended_and_resumed(lab: Lab) -> None:
    first = lab.domains()["web01"]
    told = lab.json("show-vm", "web01")
    lab.json("suspend-vm", "web01")
    assert "web01" not in lab.domains()
    assert lab.json("show-vm", "web01")["state"] == "suspended"
    assert lab.json("resume-vm", "web01")["state"] == "running"
    second = lab.domains()["web01"]
    assert second != first
    assert told["context_digest"] == lab.json("show-vm", "web01")["context_digest"]
    answered_as(lab, second, told)


def rebooted_from_inside(lab: Lab) -> None:
    told, before = lab.json("show-vm", "web01"), lab.domains()["web01"]
    lab.on_console("web01", "reboot")
    lab.until("a new domain", lambda: lab.domains().get("web01", before) != before)
    answered_as(lab, lab.domains()["web01"], told)


@pytest.mark.full  # what Xen does is the same as when the guest asks for it
def test_a_guest_rebooted_by_ims_keeps_what_it_was_told(lab: Lab) -> None:
    told = lab.json("create-vm", "web01", *NEW, "--set", "color=red")
    before = lab.domains()["web01"]
    again = lab.json("reboot-vm", "web01", "--wait", "ready", "--timeout", "1200")
    assert lab.domains()["web01"] != before
    assert again["receipt"]["ready"]
    assert again["context_digest"] == told["context_digest"]
    lab.json("delete-vm", "web01")


@pytest.mark.full  # what Xen does is the same as when the guest asks for it
def test_a_guest_rebooted_by_xl_keeps_what_it_was_told(lab: Lab) -> None:
    lab.json("create-vm", "web01", *NEW, "--set", "color=red")
    told, before = lab.json("show-vm", "web01"), lab.domains()["web01"]
    lab.dom0.run("xl reboot web01")
    lab.until("a new domain", lambda: lab.domains().get("web01", before) != before)
    answered_as(lab, lab.domains()["web01"], told)
    lab.json("delete-vm", "web01")


def told_addresses(vm: dict[str, Any]) -> list[str]:
    return [each["address"] for each in vm["addresses"] if each["source"] == "receipt"]


def answered_as(lab: Lab, domid: int, told: dict[str, Any]) -> None:
    """The guest of this domain answered itself, and is what it was."""
    receipt = f"/local/domain/{domid}/data/ims/receipt/nonce"
    lab.until(
        "the guest's answer in its new domain",
        lambda: lab.dom0.run(f"xenstore-read {receipt} 2>/dev/null || :").strip(),
        600,
    )
    now = lab.json("show-vm", "web01")
    assert now["receipt"]["ready"]
    assert now["context_digest"] == told["context_digest"]
    assert told_addresses(now) == told_addresses(told) != []
    lab.on_console("web01", f"echo domain-{domid}-is-$(hostname)")
    log = "/var/log/xen/console/guest-web01.log"
    lab.until(
        "its host name at the console",
        lambda: f"domain-{domid}-is-web01" in lab.dom0.run(f"tail -c 4000 {log}"),
    )


@pytest.mark.full  # a CD tells the guests of tests/virtualbox in `make test`
def test_a_cd_tells_a_guest_that_reads_no_xenstore(lab: Lab) -> None:
    made = lab.json("create-vm", "web-cd", *NEW, "--context-carrier", "iso", "--ip", "10.0.2.60/24")
    assert made["receipt"]["ready"]
    assert "10.0.2.60/24" in told_addresses(made)
    lab.json("delete-vm", "web-cd")


@pytest.mark.full  # pygrub and a disk tell the guests of tests/ovm in `make test`
def test_a_disk_tells_a_guest_that_pygrub_boots_from_its_own_qcow2_image(
    lab: Lab, tiny_image: Path
) -> None:
    options = ("--layout", "bootparams", "--min-memory", "64M")
    template = lab.json("import-template", str(tiny_image), "--name", "grub", *options)
    assert (template["format"], template["kernel"]) == ("qcow2", None)
    carrier = ("--context-carrier", "fat-disk", "--ip", "10.0.2.61/24")
    made = lab.json("create-vm", "web-grub", *NEW, "--template", "grub", *carrier)
    assert made["receipt"]["ready"]
    assert "10.0.2.61/24" in told_addresses(made)
    used = lab.cli("delete-template", "grub")
    assert used.returncode == 4
    assert "web-grub" in used.stderr
    lab.json("delete-vm", "web-grub")
    lab.json("delete-template", "grub")
