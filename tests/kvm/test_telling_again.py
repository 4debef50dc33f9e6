"""A guest of ours by every kind of medium: booted, rebooted from inside, and told again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ims_core import Context, File, Interface, Script, User
from ims_kvm.volumes import VolumeNames
from tests.kvm.conftest import BOOT_SECONDS, MEMORY

if TYPE_CHECKING:
    from tests.kvm.conftest import Lab

pytestmark = pytest.mark.lab_kvm

ADDRESS = "192.168.177.31"
CONTEXT = Context(
    hostname="again.example",
    interfaces=(Interface(addresses=(ADDRESS,)),),
    ssh_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1 someone@example",),
    users=(User("alice", ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE2 alice",)),),
    properties={"role": "web"},
    files=(File("/etc/greeting", b"hello\n", 0o640),),
    scripts=(Script("count", b"#!/bin/sh\necho ran >>/var/lib/count\n"),),
)
# Everything that a context changes, but what is new at each boot.
LOOK = (
    "hostname; cat /etc/passwd /etc/shadow /etc/hosts /etc/greeting /var/lib/count;"
    " cat /root/.ssh/authorized_keys /home/alice/.ssh/authorized_keys;"
    " ls -ln /etc/greeting /home; ip -o -4 addr show eth0 | cut -d' ' -f 2-8; ip route"
)


def receipts(lab: Lab, name: str) -> int:
    """How many the guest has sent since it was started."""
    [vm] = lab.ims.session().provider.inspect([name])
    assert vm.mark is not None
    pool = lab.ims.session().provider.pool  # type: ignore[attr-defined]
    data: bytes = pool.read(VolumeNames(name, vm.mark.operation).receipt, last=1 << 20)
    return data.count(b"IMS-RECEIPT 1\n")


_FULL = pytest.mark.full  # the disks tell a guest in the same way


@pytest.mark.parametrize(
    "carrier",
    ["iso", pytest.param("fat-disk", marks=_FULL), pytest.param("ext2-disk", marks=_FULL)],
)
def test_a_reboot_from_inside_changes_nothing(lab: Lab, carrier: str) -> None:
    name = f"reboot-{carrier}"
    vm = lab.ims.create_vm(
        name, memory=MEMORY, context=CONTEXT, carrier=carrier, wait="ready", timeout=BOOT_SECONDS
    )
    before = lab.run_in_guest(name, LOOK)
    assert f"inet {ADDRESS}/24" in before
    assert before.count("ran") == 1
    lab.run_in_guest(name, "(sleep 1; reboot) & true")
    deadline = time.monotonic() + BOOT_SECONDS
    while receipts(lab, name) < 2:
        assert time.monotonic() < deadline, "no second receipt"
        time.sleep(0.5)
    assert lab.run_in_guest(name, LOOK) == before
    again = lab.ims.show_vm(name)
    assert again.receipt == vm.receipt, "the same medium, and the same answer"


def test_a_running_guest_is_told_again_within_ten_seconds(lab: Lab) -> None:
    first = lab.ims.create_vm(
        "told01", memory=MEMORY, context=CONTEXT, wait="ready", timeout=BOOT_SECONDS
    )
    before = lab.run_in_guest("told01", LOOK)
    for value in ("db", "cache"):  # two media take turns, so twice
        begun = time.monotonic()
        done = lab.cli("update-context", "told01", "--set", f"role={value}")
        assert time.monotonic() - begun < 10
        assert done.returncode == 0, done.stderr
        assert "receipt    good" in done.stdout
        read = "grep -A1 role /run/ims/bootparams.conf"
        assert f"_VALUE='{value}'" in lab.run_in_guest("told01", read)
    after = lab.ims.show_vm("told01")
    assert first.receipt is not None
    assert after.receipt is not None
    assert after.receipt.digest != first.receipt.digest
    assert lab.run_in_guest("told01", LOOK) == before, "and nothing else has changed"
    lab.ims.stop_vm("told01", timeout=60)
    again = lab.ims.start_vm("told01", wait="ready", timeout=BOOT_SECONDS)
    assert again.receipt is not None
    assert again.receipt.digest == after.receipt.digest
    assert sum("told01" in volume for volume in lab.leftovers()["volumes"]) == 4


def test_a_guest_whose_drive_closes_again_and_again_is_told(lab: Lab) -> None:
    lab.ims.create_vm("busy01", memory=MEMORY, wait="ready", timeout=BOOT_SECONDS)
    # Whoever opens a drive whose door is open has Linux close it, maybe before its new CD is in.
    lab.run_in_guest("busy01", "(while :; do : </dev/sr0; done) >/dev/null 2>&1 & true")
    for value in ("db", "cache"):
        done = lab.cli("update-context", "busy01", "--set", f"role={value}")
        assert done.returncode == 0, done.stderr


def test_a_disk_tells_at_the_next_start(lab: Lab) -> None:
    lab.ims.create_vm(
        "later01", memory=MEMORY, carrier="fat-disk", wait="ready", timeout=BOOT_SECONDS
    )
    done = lab.cli("update-context", "later01", "--set", "role=db")
    assert done.returncode == 0, done.stderr
    assert "another from the next start on" in done.stdout
    assert lab.json("show-vm", "later01")["context_pending"] is True
    lab.ims.stop_vm("later01", force=True)
    vm = lab.ims.start_vm("later01", wait="ready", timeout=BOOT_SECONDS)
    assert vm.receipt is not None
    assert vm.receipt.digest == lab.ims.show_context("later01").digest
