"""The guest program on a machine of its own: namespaces, busybox alone, and a medium to mount.

Nothing is faked here but the boot. It needs root; elsewhere the tests of test_guest_program, which
run the program into a directory, must do.
"""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_bootparams import guest
from ims_bootparams.digest import NONCE_FILE, digest_of
from ims_bootparams.layouts.bootparams import render
from ims_bootparams.receipt import parse_receipt
from ims_core.models import File, Script
from tests.bootparams import contexts
from tests.bootparams.helpers import run, write_files
from tests.bootparams.machine import machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.disk_label

CARD = "testnic0"

#: Runs in new namespaces; $1 is the machine's root, $2 a shell.
BOOT = f"""
set -e
ip link set lo up
ip link add {CARD} address {contexts.MAC} type veth peer name testpeer0
ip link set testpeer0 up
mount -t sysfs none "$1/sys"
mount -t proc none "$1/proc"
chroot "$1" "$2" /ims-context >"$1/console" 2>&1 || echo "$?" >"$1/status"
hostname >"$1/hostname"
ip -o addr show dev {CARD} >"$1/addresses"
{{ ip route; ip -6 route; }} >"$1/routes"
mount >"$1/mounts"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine's root with nothing in it but busybox and the program."""
    root = machine(tmp_path / "machine")
    (root / "etc/sudoers.d").mkdir()
    return write_files(root, {"ims-context": guest.program()})


@pytest.fixture
def drive(root: Path, tmp_path: Path) -> Iterator[Path]:
    """A disk with the label IMS, in the machine's CD drive; its files are still to be written."""
    image, files = tmp_path / "medium.img", tmp_path / "medium"
    context = replace(
        contexts.full(),
        interfaces=contexts.full().interfaces[:1],
        files=(File("/opt/b", b"x", 0o640, "bob:bob"),),
        scripts=(Script("works", b"#!/bin/sh\nid -u >/seen\n"),),
    )
    rendered = dict(render(context))
    write_files(files, rendered | {NONCE_FILE: b"n-1\n"})
    run("mke2fs", "-q", "-t", "ext2", "-L", "IMS", "-d", files, image, "1M")
    found = subprocess.run(
        ["losetup", "--find", "--show", "--read-only", image],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode != 0:
        pytest.skip(f"no loop device: {found.stderr.strip()}")
    device = found.stdout.strip()
    number = os.stat(device).st_rdev  # noqa: PTH116
    os.mknod(root / "dev/sr0", 0o600 | stat.S_IFBLK, number)
    (root / "digest").write_text(digest_of(rendered))
    yield root
    run("losetup", "--detach", device)


def test_a_machine_finds_its_medium_and_becomes_what_it_says(drive: Path) -> None:
    root = drive
    namespaces = ["unshare", "--net", "--mount", "--uts"]
    if subprocess.run([*namespaces, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no namespaces here")
    run(*namespaces, "sh", "-c", BOOT, "sh", root, "/bin/ash")
    console = (root / "console").read_text()
    assert not (root / "status").exists(), console
    receipt = parse_receipt((root / "run/ims/receipt").read_bytes())
    assert receipt
    assert receipt.problem(digest=(root / "digest").read_text(), nonce="n-1") == ""
    assert {(a.mac, a.address) for a in receipt.addresses} == {
        (contexts.MAC, "192.0.2.10/24"),
        (contexts.MAC, "2001:db8::10/64"),
    }
    assert (root / "hostname").read_text() == "web-1.example.org\n"
    assert "192.0.2.10/24" in (root / "addresses").read_text()
    routes = (root / "routes").read_text()
    assert f"default via 192.0.2.1 dev {CARD}" in routes
    assert f"default via fe80::1 dev {CARD}" in routes
    assert "run/ims/mnt" not in (root / "mounts").read_text()
    bob = next(
        line.split(":")
        for line in (root / "etc/passwd").read_text().splitlines()
        if line.startswith("bob:")
    )
    owner = (root / "opt/b").stat()
    assert (owner.st_uid, owner.st_gid) == (int(bob[2]), int(bob[3]))
    keys = (root / "home/alice/.ssh/authorized_keys").stat()
    assert keys.st_uid != 0
    assert stat.S_IMODE(keys.st_mode) == 0o600
    assert (root / "seen").read_text() == "0\n"
