"""The main job on real libvirt, real QEMU and a real guest that reads its context."""

from __future__ import annotations

import base64
import json
import time
from ipaddress import ip_interface
from typing import TYPE_CHECKING

import pytest

from ims_core import (
    ConflictError,
    Context,
    DeadlineError,
    File,
    GuestError,
    Interface,
    Script,
    State,
)
from tests.kvm.conftest import BOOT_SECONDS, MEMORY
from tests.labs.kvm.resources import virsh

if TYPE_CHECKING:
    from tests.kvm.conftest import Lab

pytestmark = pytest.mark.lab_kvm

STATIC = "192.168.177.21"
OTHER = "192.168.177.22"
# Values that a shell would act on if it ever saw them unquoted.
HOSTILE = 'it\'s "quoted" $(touch /tmp/executed) `touch /tmp/executed` ünïcode\nsecond line \\ end'


def test_a_guest_applies_its_context_and_proves_it(lab: Lab) -> None:
    context = Context(
        hostname="web01.example",
        interfaces=(Interface(addresses=(STATIC,)),),
        ssh_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1 someone@example",),
        properties={"motto": HOSTILE},
        files=(File("/etc/motto with space", HOSTILE.encode(), mode=0o600),),
        scripts=(Script("first", b"#!/bin/sh\nid -u > /run/script-ran\n"),),
    )
    vm = lab.ims.create_vm(
        "web01", memory=MEMORY, context=context, wait="ready", timeout=BOOT_SECONDS
    )
    assert vm.state is State.RUNNING
    assert vm.receipt is not None
    assert vm.mark is not None
    assert vm.receipt.digest == vm.mark.digest
    assert all(item.ok for item in vm.receipt.items)
    assert [(each.address, each.source) for each in vm.addresses if each.source == "receipt"] == [
        (f"{STATIC}/24", "receipt")
    ]
    # The guest itself, asked on its console.
    assert lab.run_in_guest("web01", "hostname") == "web01.example"
    assert f"inet {STATIC}/24" in lab.run_in_guest("web01", "ip addr show eth0")
    assert "via 192.168.177.1" in lab.run_in_guest("web01", "ip route")
    assert "AAAAIE1" in lab.run_in_guest("web01", "cat /root/.ssh/authorized_keys")
    said = lab.run_in_guest("web01", "base64 < '/etc/motto with space' | tr -d '\\n'")
    assert base64.b64decode(said) == HOSTILE.encode()
    assert lab.run_in_guest("web01", "stat -c %a '/etc/motto with space'") == "600"
    assert lab.run_in_guest("web01", "cat /run/script-ran") == "0"
    assert lab.run_in_guest("web01", "test -e /tmp/executed; echo $?") == "1"


def test_a_failing_step_is_reported_with_its_message_and_nothing_stays(lab: Lab) -> None:
    context = Context(scripts=(Script("broken", b"#!/bin/sh\necho no luck today >&2\nexit 7\n"),))
    with pytest.raises(GuestError) as caught:
        lab.ims.create_vm(
            "broken01", memory=MEMORY, context=context, wait="ready", timeout=BOOT_SECONDS
        )
    assert caught.value.code == "context-not-applied"
    assert "scripts.0 failed" in caught.value.message
    assert caught.value.details, "the end of the console is part of the evidence"
    assert lab.listed() == []


def test_one_byte_changed_on_the_medium_is_not_ready(lab: Lab) -> None:
    context = Context(files=(File("/etc/greeting", b"hello"),))
    lab.ims.create_vm("byte01", memory=MEMORY, context=context, wait="defined")
    provider = lab.ims.session().provider
    write = provider.pool.write  # type: ignore[attr-defined]

    def tampering(name: str, content: bytes) -> None:
        assert content.count(b"hello") == 1
        write(name, content.replace(b"hello", b"hellO"))

    provider.pool.write = tampering  # type: ignore[attr-defined]
    with pytest.raises(GuestError, match="read other bytes than were sent"):
        lab.ims.start_vm("byte01", wait="ready", timeout=BOOT_SECONDS)


def test_the_receipt_of_an_earlier_start_is_not_taken_for_this_one(lab: Lab) -> None:
    vm = lab.ims.create_vm("stale01", memory=MEMORY, wait="ready", timeout=BOOT_SECONDS)
    first = vm.receipt
    assert first is not None
    lab.ims.stop_vm("stale01", force=True)
    assert lab.ims.show_vm("stale01").receipt == first, "it is state, kept until the next start"
    session = lab.ims.session()
    start = session.provider.start

    def without_a_guest(uuid: str, delivery: object) -> None:
        start(uuid, delivery)  # type: ignore[arg-type]
        virsh("suspend", "stale01")
        receipt = next(
            each
            for each in lab.leftovers()["volumes"]
            if each.startswith("stale01-") and each.endswith(".receipt")
        )
        old = "\n".join(
            ["IMS-RECEIPT 1", f"digest {first.digest}", f"nonce {first.nonce}", "end", ""]
        )
        session.provider.pool.write(receipt, old.encode())  # type: ignore[attr-defined]

    session.provider.start = without_a_guest  # type: ignore[method-assign,assignment]
    with pytest.raises(DeadlineError, match="earlier start"):
        lab.ims.start_vm("stale01", wait="ready", timeout=3)


def test_set_ip_on_a_stopped_vm_reaches_guest_dhcp_and_get_ip(lab: Lab) -> None:
    lab.ims.create_vm("addr01", memory=MEMORY, wait="defined")
    done = lab.cli("set-ip", "addr01", STATIC)
    assert done.returncode == 0, done.stderr
    lab.ims.start_vm("addr01", wait="ready", timeout=BOOT_SECONDS)
    assert f"inet {STATIC}/24" in lab.run_in_guest("addr01", "ip addr show eth0")
    assert {each.address for each in lab.ims.get_addresses("addr01")} == {f"{STATIC}/24"}
    assert f"ip='{STATIC}'" in "".join(lab.leftovers()["hosts"])
    # Running, and a guest that is not told while it runs: both are shown.
    pending = lab.cli("set-ip", "addr01", OTHER)
    assert "pending until next start" in pending.stdout + pending.stderr
    shown = lab.json("show-vm", "addr01")
    assert f"{STATIC}/24" in json.dumps(shown)
    assert f"{OTHER}/24" in json.dumps(shown)
    with pytest.raises(ConflictError) as caught:
        lab.ims.create_vm(
            "addr02",
            memory=MEMORY,
            context=Context(interfaces=(Interface(addresses=(OTHER,)),)),
            wait="defined",
        )
    assert caught.value.code == "address-taken"


def test_a_guest_with_dhcp_has_the_same_address_from_lease_and_receipt(lab: Lab) -> None:
    vm = lab.ims.create_vm("dhcp01", memory=MEMORY, wait="ready", timeout=BOOT_SECONDS)
    by_source = {each.source: ip_interface(each.address).ip for each in vm.addresses}
    assert by_source["lease"] == by_source["receipt"]
    printed = lab.cli("get-ip", "dhcp01").stdout
    assert printed.split()[0] == f"{by_source['lease']}/24"
    assert "lease" in printed
    assert "receipt" in printed


def test_a_stopped_vm_starts_again_with_the_same_context_and_a_fresh_receipt(lab: Lab) -> None:
    context = Context(properties={"role": "web"})
    first = lab.ims.create_vm(
        "again01", memory=MEMORY, context=context, wait="ready", timeout=BOOT_SECONDS
    )
    lab.ims.stop_vm("again01", timeout=60)
    assert lab.ims.show_vm("again01").state is State.STOPPED
    again = lab.ims.start_vm("again01", wait="ready", timeout=BOOT_SECONDS)
    assert first.receipt is not None
    assert again.receipt is not None
    assert again.receipt.digest == first.receipt.digest
    assert again.receipt.nonce != first.receipt.nonce


def test_a_timeout_says_what_each_source_showed_with_the_console(lab: Lab) -> None:
    provider = lab.ims.session().provider
    start = provider.start

    def and_stands_still(uuid: str, delivery: object) -> None:
        start(uuid, delivery)  # type: ignore[arg-type]
        virsh("suspend", "slow01")

    provider.start = and_stands_still  # type: ignore[method-assign,assignment]
    with pytest.raises(DeadlineError) as caught:
        lab.ims.create_vm("slow01", memory=MEMORY, wait="ready", timeout=10)
    evidence = caught.value.details[0]
    for source in ("lease", "agent", "arp", "receipt"):
        assert f"{source}: no address" in evidence
    assert lab.listed() == []


def test_metrics_move_with_what_the_guest_does(lab: Lab) -> None:
    lab.ims.create_vm("load01", memory=256 << 20, wait="ready", timeout=BOOT_SECONDS)

    before = wait_for_memory(lab, "load01")
    lab.run_in_guest(
        "load01", "mount -t tmpfs none /mnt && dd if=/dev/zero of=/mnt/fill bs=1M count=64"
    )
    after = wait_for_memory(lab, "load01", unlike=before)
    moved = (after - before) / (1 << 20)
    assert 52 <= moved <= 76, f"64 MiB were filled, used memory moved by {moved:.1f} MiB"
    cpu = lab.ims.metrics(["load01"])[0].cpu_seconds
    written = lab.ims.metrics(["load01"])[0].disk_write_bytes
    assert cpu is not None
    assert written is not None
    lab.run_in_guest("load01", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
    lab.run_in_guest("load01", "dd if=/dev/zero of=/dev/vda bs=1M count=8 seek=16 conv=fsync")
    later = lab.ims.metrics(["load01"])[0]
    assert later.cpu_seconds is not None
    assert later.disk_write_bytes is not None
    assert later.cpu_seconds - cpu > 0.5
    assert 8 << 20 <= later.disk_write_bytes - written < 9 << 20


def wait_for_memory(lab: Lab, name: str, unlike: int = 0) -> int:
    """Used memory once two reports of the balloon agree within 2 MiB; it reports every 2 s."""
    deadline = time.monotonic() + 30
    last = 0
    while time.monotonic() < deadline:
        used = lab.ims.metrics([name])[0].memory_used_bytes
        if used and abs(used - last) < 2 << 20 and abs(used - unlike) > 20 << 20:
            return used
        last = used or 0
        time.sleep(2.2)
    raise AssertionError(f"used memory of {name} never settled: {last}")
