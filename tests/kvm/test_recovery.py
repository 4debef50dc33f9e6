"""What is other people's stays, and a lost store loses no VM: on the real hypervisor."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ims_core import ConflictError
from tests.kvm.conftest import MEMORY
from tests.labs.kvm.resources import refresh_pool

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kvm.conftest import Lab

pytestmark = pytest.mark.lab_kvm

OPERATION = "0123456789abcdef"
NETWORK = """
[networks.lab]
network = "{network}"
cidr = "192.168.177.0/24"
range = "192.168.177.64-192.168.177.99"  # beside what DHCP gives
"""


@pytest.mark.parametrize("known", [True, False], ids=["volume", "file"])
@pytest.mark.parametrize("ending", ["qcow2", "seed-a"])
def test_a_namesake_volume_is_there_byte_for_byte_after_the_failure_and_the_recovery(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, ending: str, *, known: bool
) -> None:
    monkeypatch.setattr("ims_core.service.create.new_operation", lambda: OPERATION)
    path = lab.lab.pool_path / f"victim-{OPERATION}.{ending}"
    path.write_bytes(content := os.urandom(1 << 16))
    try:
        if known:
            refresh_pool(lab.lab.pool)
        before = lab.leftovers()
        with pytest.raises(ConflictError) as caught:
            lab.ims.create_vm("victim", memory=MEMORY, wait="defined")
        assert caught.value.code == "volume-exists"
        assert path.read_bytes() == content
        assert lab.json("recover") == []
        assert lab.ims.recover([OPERATION]) == []
        assert path.read_bytes() == content
        assert {**lab.leftovers(), "volumes": before["volumes"]} == before
    finally:
        path.unlink()
        refresh_pool(lab.lab.pool)


@pytest.mark.parametrize("lost", ["deleted", "another"])
def test_three_running_vms_outlive_their_store(
    lab: Lab, own_state: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    with lab.config.open("a") as config:
        config.write(NETWORK.format(network=lab.lab.network))
    before = lab.leftovers()
    made = lab.json("create-vm", "--count", "3", "survivor", "--quiet")
    assert [vm["state"] for vm in made] == ["running"] * 3
    lab.ims.close()
    if lost == "deleted":
        shutil.rmtree(own_state / "state")
    else:
        monkeypatch.setenv("IMS_STATE", str(own_state / "another"))
    there = lab.leftovers()
    found = lab.json("check", "--fix")
    told = {each["subject"] for each in found if "another store" in each["message"]}
    assert told >= {f"VM {vm['name']}" for vm in made}
    assert lab.json("recover") == []
    assert lab.leftovers() == there
    assert {vm["uuid"] for vm in lab.listed()} == {vm["uuid"] for vm in made}
    fourth = lab.cli("create-vm", "fourth", "--wait", "defined")
    assert fourth.returncode == 0, fourth.stderr
    hosts = lab.leftovers()["hosts"]
    given = [line.partition("ip='")[2].partition("'")[0] for line in hosts]
    assert len(set(given)) == len(given) == len(there["hosts"]) + 1
    for name in [vm["name"] for vm in lab.listed()]:
        assert lab.cli("delete-vm", name).returncode == 0
    assert lab.leftovers() == before


def test_of_two_processes_that_make_one_name_one_gets_it(lab: Lab) -> None:
    command = [sys.executable, "-m", "ims_cli", "create-vm", "contested", "--wait", "defined"]
    both = [
        subprocess.Popen([*command, "--output", "json"], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [json.loads(each.communicate(timeout=120)[0]) for each in both]
    assert sorted(each.returncode for each in both) == [0, 4]
    [error] = [each["error"] for each in answers if "error" in each]
    assert error["code"] == "vm-exists"
    [vm] = lab.listed()
    assert [vm["uuid"]] == [each["uuid"] for each in answers if "error" not in each]


def test_check_sees_an_image_that_changed_under_its_vms(lab: Lab, own_state: Path) -> None:
    image = own_state / "tiny.raw"
    image.write_bytes(bytes(1 << 20))
    lab.ims.import_template(str(image), "changing")
    try:
        assert not [each for each in lab.ims.check() if each.subject == "template changing"]
        [path] = lab.lab.pool_path.glob("ims-template-changing-*.raw")
        with path.open("r+b") as file:
            file.write(b"changed")
        [finding] = [each for each in lab.ims.check() if each.subject == "template changing"]
        assert not finding.ok
    finally:
        lab.ims.delete_template("changing")
