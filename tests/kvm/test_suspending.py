"""A real guest is suspended, goes on as the same boot, and is rebooted with proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ims_core import ConflictError, Context, Interface, State
from tests.kvm.conftest import BOOT_SECONDS, MEMORY
from tests.labs.kvm.resources import virsh

if TYPE_CHECKING:
    from tests.kvm.conftest import Lab

pytestmark = pytest.mark.lab_kvm

STATIC = "192.168.177.25"
OTHER = "192.168.177.26"
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


def uptime(lab: Lab, name: str) -> float:
    return float(lab.run_in_guest(name, "cat /proc/uptime").split()[0])


def test_a_guest_goes_on_as_the_same_boot_with_what_it_had(lab: Lab) -> None:
    context = Context(interfaces=(Interface(addresses=(STATIC,)),), properties={"role": "web"})
    first = lab.ims.create_vm(
        "nap01", memory=MEMORY, context=context, wait="ready", timeout=BOOT_SECONDS
    )
    lab.run_in_guest("nap01", "echo kept in memory >/run/kept; mount -t tmpfs none /mnt")
    boot, before = lab.run_in_guest("nap01", BOOT_ID), uptime(lab, "nap01")
    there = lab.leftovers()
    suspended = lab.cli("suspend-vm", "nap01")
    assert suspended.returncode == 0, suspended.stderr
    assert virsh("domstate", "nap01").strip() == "shut off"
    assert lab.listed()[0]["state"] == "suspended"
    assert "nap01" not in {each.name for each in lab.ims.metrics()}
    # It has its address in memory, so nobody else may be given it, and the network keeps it.
    pending = lab.ims.set_addresses("nap01", [OTHER])
    assert pending.pending == (f"{OTHER}/24",)
    assert f"ip='{STATIC}'" in "".join(lab.leftovers()["hosts"])
    assert lab.cli("stop-vm", "nap01").returncode == 4
    resumed = lab.json("resume-vm", "nap01", "--wait", "address")
    assert resumed["state"] == "running"
    vm = lab.ims.show_vm("nap01")
    assert vm.receipt == first.receipt, "what the guest said before is still there"
    assert vm.mark is not None
    assert OTHER in vm.mark.addresses, "the mark is what was written while it was suspended"
    assert vm.pending == (f"{OTHER}/24",)
    assert lab.run_in_guest("nap01", BOOT_ID) == boot
    assert before < uptime(lab, "nap01"), "its clock went on from where it was"
    assert lab.run_in_guest("nap01", "cat /run/kept") == "kept in memory"
    assert f"inet {STATIC}/24" in lab.run_in_guest("nap01", "ip addr show eth0")
    assert lab.ims.console_tail("nap01"), "and what it printed"
    assert lab.leftovers()["volumes"] == there["volumes"]


def test_a_reboot_has_pending_addresses_take_effect_and_a_receipt_proves_it(lab: Lab) -> None:
    context = Context(interfaces=(Interface(addresses=(STATIC,)),))
    first = lab.ims.create_vm(
        "boot01", memory=MEMORY, context=context, wait="ready", timeout=BOOT_SECONDS
    )
    boot = lab.run_in_guest("boot01", BOOT_ID)
    lab.ims.set_addresses("boot01", [OTHER])
    again = lab.ims.reboot_vm("boot01", wait="ready", timeout=2 * BOOT_SECONDS)
    assert first.receipt is not None
    assert again.receipt is not None
    assert again.mark is not None
    assert again.receipt.nonce == again.mark.nonce != first.receipt.nonce
    assert lab.run_in_guest("boot01", BOOT_ID) != boot
    assert f"inet {OTHER}/24" in lab.run_in_guest("boot01", "ip addr show eth0")
    hosts = "".join(lab.leftovers()["hosts"])
    assert f"ip='{OTHER}'" in hosts
    assert f"ip='{STATIC}'" not in hosts
    kinds = [each.kind for each in lab.ims.list_operations()]
    assert kinds == ["create-vm", "set-ip", "reboot-vm"]


def test_what_virsh_has_done_is_seen_and_undone(lab: Lab) -> None:
    lab.ims.create_vm("mixed01", memory=MEMORY, wait="running")
    virsh("suspend", "mixed01")
    assert lab.ims.show_vm("mixed01").state is State.PAUSED
    lab.ims.suspend_vm("mixed01")
    assert lab.ims.show_vm("mixed01").state is State.SUSPENDED
    assert lab.ims.resume_vm("mixed01").state is State.RUNNING
    virsh("managedsave", "mixed01")
    assert lab.ims.show_vm("mixed01").state is State.SUSPENDED
    with pytest.raises(ConflictError) as caught:
        lab.ims.start_vm("mixed01")
    assert caught.value.code == "vm-suspended"
    virsh("managedsave-remove", "mixed01")
    assert lab.ims.show_vm("mixed01").state is State.STOPPED
    assert lab.ims.start_vm("mixed01").state is State.RUNNING
