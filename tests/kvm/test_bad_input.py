"""Bad input on the real hypervisor: one clear sentence, the right status, and nothing left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ims_core import ImageError, Ims, ImsError
from tests.kvm.conftest import MEMORY, write_config
from tests.labs.kvm import daemons
from tests.labs.kvm.resources import virsh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kvm.conftest import Lab

pytestmark = pytest.mark.lab_kvm


def refused(lab: Lab, *arguments: str, status: int, code: str) -> dict[str, object]:
    """Run a command that must fail: both ways of telling it are checked."""
    before = lab.leftovers()
    told = lab.cli(*arguments)
    assert told.returncode == status, told.stderr
    assert "Traceback" not in told.stderr
    assert told.stderr.count("ims: ") == 1, told.stderr
    machine = lab.cli(arguments[0], "--output", "json", *arguments[1:])
    assert machine.returncode == status
    error: dict[str, object] = json.loads(machine.stdout)["error"]
    assert error["code"] == code
    assert without_numbers(str(error["message"])) in without_numbers(told.stderr)
    assert lab.leftovers() == before
    return error


def without_numbers(text: str) -> str:
    """How much is free may be another number each time that it is told."""
    return re.sub(r"\d+", "N", text)


def test_an_unknown_template_hints_at_the_import(lab: Lab) -> None:
    error = refused(lab, "create-vm", "--template", "nosuch", status=3, code="template-not-found")
    assert "ims import-template" in str(error["hint"])


@pytest.mark.parametrize("name", ["a/b", "it's", 'a"b', "two\nlines", "-dash", "", "x" * 64])
def test_a_name_that_could_hurt_is_refused(lab: Lab, name: str) -> None:
    if name:
        refused(lab, "create-vm", "--", name, status=2, code="invalid-name")
    refused(lab, "show-vm", "--", name or "nosuch", status=3, code="vm-not-found")


def test_memory_that_is_no_size_is_refused(lab: Lab) -> None:
    error = refused(lab, "create-vm", "--memory", "12 bananas", status=2, code="invalid-value")
    assert "memory" in str(error["message"])


@pytest.mark.parametrize(
    ("address", "code", "status"),
    [
        ("10.1.2.3", "address-outside-network", 2),
        ("192.168.177.30/16", "invalid-value", 2),
        ("192.168.177.255", "invalid-value", 2),
        ("192.168.177.1", "address-taken", 4),
        ("bananas", "invalid-value", 2),
    ],
)
def test_an_address_that_cannot_be_is_refused(
    lab: Lab, address: str, code: str, status: int
) -> None:
    refused(lab, "create-vm", "addr", "--ip", address, status=status, code=code)


def test_an_address_that_is_reserved_is_refused(lab: Lab) -> None:
    order = ("--memory", "128M", "--wait", "defined", "--ip", "192.168.177.31")
    assert lab.cli("create-vm", "first", *order).returncode == 0
    refused(lab, "create-vm", "second", *order, status=4, code="address-taken")


def test_a_network_that_does_not_exist_is_refused(lab: Lab) -> None:
    refused(lab, "create-vm", "--network", "nosuch", status=3, code="network-not-found")


def test_a_truncated_image_is_refused(lab: Lab, tiny_image: Path, tmp_path: Path) -> None:
    image = tmp_path / "short.qcow2"
    image.write_bytes(tiny_image.read_bytes()[: tiny_image.stat().st_size // 2])
    refused(lab, "import-template", str(image), status=2, code="image-truncated")


def test_an_image_with_a_backing_file_is_refused(lab: Lab, tmp_path: Path) -> None:
    image = tmp_path / "thief.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw"]
    subprocess.run([*command, str(image), "1M"], check=True)
    refused(lab, "import-template", str(image), status=2, code="image-has-backing-file")


def test_an_image_larger_than_the_pool_is_refused_before_it_is_read(
    lab: Lab, tmp_path: Path
) -> None:
    image = tmp_path / "huge.raw"
    with image.open("wb") as sparse:
        sparse.truncate(1 << 43)
    refused(lab, "import-template", str(image), "--format", "raw", status=7, code="pool-full")


def test_a_foreign_vm_is_listed_apart_and_never_touched(lab: Lab, foreign: str) -> None:
    assert lab.listed() == []
    (shown,) = [vm for vm in lab.listed("--all") if vm["name"] == foreign]
    assert shown["ours"] is False
    xml = virsh("dumpxml", "--inactive", foreign)
    for command in (
        ("start-vm", foreign),
        ("stop-vm", foreign, "--force"),
        ("delete-vm", foreign),
        ("set-ip", foreign, "192.168.177.32"),
    ):
        refused(lab, *command, status=4, code="not-ours")
    refused(lab, "create-vm", foreign, status=4, code="vm-exists")
    assert virsh("dumpxml", "--inactive", foreign) == xml


@pytest.fixture
def foreign(lab: Lab) -> Iterator[str]:
    """A domain that IMS did not make."""
    virsh(
        "define",
        "/dev/stdin",
        xml="<domain type='qemu'><name>foreign</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64'>hvm</type></os></domain>",
    )
    yield "foreign"
    virsh("undefine", "foreign")


def test_a_libvirt_that_is_down_is_told_as_such(lab: Lab, own_state: Path) -> None:
    own_state.joinpath("ims.toml").write_text(
        '[pools.lab]\nprovider = "kvm"\nuri = "qemu+unix:///system?socket=/nonexistent"\n'
    )
    refused(lab, "list-vms", status=6, code="hypervisor-unavailable")


def test_a_stopped_libvirt_ends_a_command_within_its_bound(lab: Lab) -> None:
    # Not from when the lab began: other tests have it die and come back.
    pids = [each.pid for each in daemons.started() if each.program == "libvirtd"]
    if not pids:
        pytest.skip("the lab did not start libvirtd itself, so it must not stop it")
    connected = Ims()
    connected.list_vms()
    os.kill(pids[0], signal.SIGSTOP)
    try:
        begun = time.monotonic()
        told = lab.cli("list-vms")
        new_connection = time.monotonic() - begun
        with pytest.raises(ImsError) as caught:
            connected.list_vms()
    finally:
        os.kill(pids[0], signal.SIGCONT)
    assert told.returncode == 6
    assert "did not answer" in told.stderr
    assert new_connection < 20
    assert caught.value.code == "hypervisor-unavailable"
    connected.close()


def test_a_failure_in_the_middle_of_a_create_leaves_nothing(lab: Lab) -> None:
    provider = lab.ims.session().provider
    start = provider.start
    before = lab.leftovers()

    def failing(*_arguments: object) -> None:
        raise RuntimeError("the power failed")

    provider.start = failing  # type: ignore[method-assign,assignment]
    try:
        with pytest.raises(RuntimeError, match="the power failed"):
            lab.ims.create_vm("unlucky", memory=MEMORY)
    finally:
        provider.start = start  # type: ignore[method-assign]
    assert lab.leftovers() == before


def test_a_qemu_that_hangs_spoils_nothing_for_the_others(lab: Lab) -> None:
    for name in ("hangs", "sound"):
        lab.ims.create_vm(name, memory=MEMORY)
    pid = int(Path("/run/libvirt/qemu/hangs.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        found = {vm.name: vm for vm in lab.ims.session().provider.inspect(["hangs", "sound"])}
        assert (found["hangs"].memory, found["sound"].memory) == (MEMORY, MEMORY)
        assert {vm["name"]: vm["state"] for vm in lab.listed()} == dict.fromkeys(
            ("hangs", "sound"), "running"
        )
        numbers = {each.name: each for each in lab.ims.metrics()}
        assert numbers["hangs"].disk_read_bytes is None  # only its QEMU could tell
        assert numbers["sound"].disk_read_bytes is not None
        assert all(each.cpu_seconds is not None for each in numbers.values())
        assert lab.cli("show-vm", "hangs").returncode == 0
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_signal_is_heard_while_libvirt_does_not_answer(lab: Lab) -> None:
    lab.ims.create_vm("hangs", memory=MEMORY)
    pid = int(Path("/run/libvirt/qemu/hangs.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        command = [sys.executable, "-m", "ims_cli", "stop-vm", "hangs", "--timeout", "600"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as stopping:
            assert stopping.stderr is not None
            assert "stopping hangs" in stopping.stderr.readline()
            stopping.send_signal(signal.SIGTERM)
            stopping.communicate(timeout=60)
        assert stopping.returncode == 143
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_clone_that_carries_our_mark_is_foreign_and_its_original_safe(lab: Lab) -> None:
    lab.ims.create_vm("original", memory=MEMORY, wait="defined")
    volumes = lab.leftovers()["volumes"]
    xml = virsh("dumpxml", "original")
    uuid = virsh("domuuid", "original").strip()
    virsh(
        "define",
        "/dev/stdin",
        xml=xml.replace("<name>original", "<name>clone")
        .replace(f"<uuid>{uuid}", "<uuid>11111111-2222-3333-4444-555555555555")
        .replace("mac address='52:54", "mac address='52:56"),
    )
    try:
        refused(lab, "delete-vm", "clone", status=4, code="not-ours")
        refused(lab, "delete-vm", "11111111-2222-3333-4444-555555555555", status=4, code="not-ours")
        assert lab.leftovers()["volumes"] == volumes
    finally:
        virsh("undefine", "clone")


def test_a_first_import_that_fails_leaves_no_storage_pool(
    lab: Lab, tiny_image: Path, own_state: Path
) -> None:
    place = lab.lab.pool_path.parent / "ims-first"
    config = write_config(own_state, lab.lab, storage_pool="ims-first")
    config.write_text(config.read_text() + f'storage_path = "{place}"\n')
    with Ims() as ims:
        pool = ims.session().provider.pool  # type: ignore[attr-defined]

        def broken(*_arguments: object) -> str:
            raise OSError("the line is cut")

        pool.upload = broken
        with pytest.raises(OSError, match="the line is cut"):
            ims.import_template(str(tiny_image), "first", layout="bootparams")
    assert "ims-first" not in virsh("pool-list", "--all")
    place.rmdir()


def test_an_image_that_changes_while_it_is_imported_is_refused(
    lab: Lab, tiny_image: Path, tmp_path: Path
) -> None:
    image = tmp_path / "moving.qcow2"
    image.write_bytes(tiny_image.read_bytes())
    before = lab.leftovers()
    pool = lab.ims.session().provider.pool  # type: ignore[attr-defined]
    upload = pool.upload

    def swapped(*arguments: object) -> object:
        content = bytearray(image.read_bytes())
        content[-1] ^= 1
        image.write_bytes(content)
        return upload(*arguments)

    pool.upload = swapped
    with pytest.raises(ImageError) as caught:
        lab.ims.import_template(str(image), "moving", layout="bootparams")
    assert caught.value.code == "image-changed"
    assert lab.leftovers() == before
