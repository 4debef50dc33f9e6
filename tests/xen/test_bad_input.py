"""Bad input on a real dom0: one clear sentence, the right status, and nothing left."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.xen.conftest import DIRECTORY, MEMORY, TEMPLATE, write_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.xen.conftest import Lab

pytestmark = pytest.mark.lab_xen

DEFINED = ("--memory", MEMORY, "--wait", "defined")


def refused(lab: Lab, *arguments: str, status: int, code: str) -> dict[str, object]:
    """Run a command that must fail."""
    done = lab.cli(arguments[0], "--output", "json", *arguments[1:])
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    error: dict[str, object] = json.loads(done.stdout)["error"]
    assert error["code"] == code, error
    return error


def test_a_host_key_that_changed_is_refused(lab: Lab, own_state: Path, tmp_path: Path) -> None:
    other = tmp_path / "known_hosts"
    begin, kind, _ = lab.dom0.known_hosts.read_text().split()[:3]
    key = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    other.write_text(f"{begin} {kind} {key}\n")
    write_config(own_state, lab.dom0, known_hosts=str(other))
    error = refused(lab, "list-vms", status=6, code="host-key-changed")
    assert str(other) in str(error["message"]) + str(error["hint"])
    other.write_text("")
    refused(lab, "list-vms", status=6, code="host-key-unknown")


def test_a_wrong_key_is_refused(lab: Lab, own_state: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    from tests.labs.commands import run  # noqa: PLC0415

    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    write_config(own_state, lab.dom0, identity_file=str(key))
    error = refused(lab, "list-vms", status=6, code="ssh-key-refused")
    assert str(key) in str(error["message"])


def test_a_machine_without_xl_says_so(lab: Lab, own_state: Path, tmp_path: Path) -> None:
    if shutil.which("xl"):
        pytest.skip("this machine has xl")
    (own_state / "ims.toml").write_text(
        f'[pools.here]\nprovider = "xen"\ndirectory = "{tmp_path}/ims"\n'
    )
    error = refused(lab, "list-vms", "--pool", "here", status=6, code="no-xl")
    assert "dom0" in str(error["hint"])
    findings = json.loads(lab.cli("check", "--pool", "here", "--output", "json").stdout)
    assert {"xen", "xl"} <= {each["subject"] for each in findings if not each["ok"]}


@pytest.fixture
def small(lab: Lab) -> Iterator[str]:
    """A directory in the dom0 with room for little."""
    place = "/run/ims-small"
    lab.dom0.run(f"mkdir -p {place} && mount -t tmpfs -o size=4m none {place}")
    yield place
    lab.dom0.run(f"umount {place} && rmdir {place}")


def test_a_full_file_system_is_told_and_nothing_stays(
    lab: Lab, own_state: Path, small: str, tiny_image: Path
) -> None:
    write_config(own_state, lab.dom0, directory=small)
    raw = str(tiny_image.parent / "tiny.raw")
    refused(lab, "import-template", raw, "--name", "big", status=7, code="pool-full")
    # The hole in it is larger than all that is there, so only writing it shows.
    lab.dom0.run(
        f"mkdir -p {small}/templates/{TEMPLATE} {small}/making {small}/vms &&"
        f" cp {DIRECTORY}/templates/{TEMPLATE}/manifest.json {small}/templates/{TEMPLATE}/ &&"
        f" ln -s {DIRECTORY}/templates/{TEMPLATE}/disk {small}/templates/{TEMPLATE}/disk"
    )
    refused(lab, "create-vm", "full01", *DEFINED, status=7, code="pool-full")
    assert lab.dom0.run(f"find {small}/making {small}/vms -mindepth 1") == ""


def test_python_in_a_vm_cfg_is_never_run(lab: Lab) -> None:
    lab.json("create-vm", "cfg01", *DEFINED)
    config = f"{DIRECTORY}/vms/cfg01/vm.cfg"
    lab.dom0.run(
        f"cp {config} /tmp/good.cfg; echo 'import os; os.system(\"touch /tmp/ran\")' >>{config}"
    )
    (vm,) = lab.json("list-vms")
    assert "line" in vm["problem"]
    refused(lab, "start-vm", "cfg01", status=10, code="hypervisor-error")
    assert lab.dom0.run("ls /tmp/ran 2>/dev/null || :") == ""
    assert "cfg01" not in lab.domains()
    lab.dom0.run(f"mv /tmp/good.cfg {config}")
    lab.json("delete-vm", "cfg01")


def test_a_domain_of_somebody_else_with_the_same_name_is_left_alone(lab: Lab) -> None:
    kernel = f"{DIRECTORY}/templates/{TEMPLATE}/kernel"
    lines = f'name="same01"\\ntype="pv"\\nmemory=128\\nkernel="{kernel}"\\n'
    lab.dom0.run(f"printf '{lines}' >/tmp/same.cfg; xl create -q -p /tmp/same.cfg")
    try:
        before = lab.leftovers()
        refused(lab, "create-vm", "same01", *DEFINED, status=4, code="vm-exists")
        refused(lab, "delete-vm", "same01", status=4, code="not-ours")
        assert lab.leftovers() == before
        (vm,) = lab.json("list-vms", "--all")
        assert (vm["name"], vm["ours"], vm["state"]) == ("same01", False, "paused")
    finally:
        log = "/var/log/xen/console/guest-same01.log"
        lab.dom0.run(f"xl destroy same01; rm -f /tmp/same.cfg {log}")


def test_an_image_whose_name_holds_quotes_is_only_data(
    lab: Lab, tiny_image: Path, tmp_path: Path
) -> None:
    odd = tmp_path / 'it\'s "odd"; touch $(ran).raw'
    odd.write_bytes(b"\x55" * (64 << 10))
    template = lab.json("import-template", str(odd), "--name", "odd", "--layout", "bootparams")
    assert template["source"] == str(odd)
    held = lab.dom0.run(f"cat {DIRECTORY}/templates/odd/disk | wc -c")
    assert int(held) == 64 << 10
    lab.json("delete-template", "odd")


def test_a_bridge_that_is_not_there_is_named(lab: Lab) -> None:
    error = refused(
        lab,
        "create-vm",
        "net01",
        *DEFINED,
        "--network",
        "nosuch",
        status=3,
        code="network-not-found",
    )
    assert "xenbr0" in str(error["hint"])


def test_a_way_to_boot_that_xen_does_not_have_is_refused(lab: Lab, tiny_image: Path) -> None:
    image = str(tiny_image.parent / "tiny.raw")
    refused(lab, "import-template", image, "--name", "x", "--boot", "uefi",
            status=5, code="boot-impossible")  # fmt: skip
