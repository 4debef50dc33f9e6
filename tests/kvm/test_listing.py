"""Listing: none, one and many VMs, a broken one and a foreign one, and round trips."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ims_core import State
from tests.kvm.conftest import MEMORY, TEMPLATE
from tests.kvm.requests import libvirt_calls
from tests.labs.kvm.resources import virsh

if TYPE_CHECKING:
    from tests.kvm.conftest import Lab

pytestmark = pytest.mark.lab_kvm


def test_the_list_is_valid_json_with_none_one_and_fifty_vms(lab: Lab) -> None:
    assert lab.listed() == []
    for index in range(50):
        lab.ims.create_vm(f"many{index:02}", memory=MEMORY, wait="defined")
        if index == 0:
            (only,) = lab.listed()
            assert only["name"] == "many00"
            assert only["state"] == "defined"
            assert only["template"] == TEMPLATE
    names = [vm["name"] for vm in lab.listed()]
    assert names == [f"many{index:02}" for index in range(50)]


def test_a_vm_whose_disk_was_removed_by_hand_is_listed_with_its_problem(lab: Lab) -> None:
    for name in ("whole", "broken"):
        lab.ims.create_vm(name, memory=MEMORY, wait="defined")
    (disk,) = (v for v in lab.leftovers()["volumes"] if v.startswith("broken-") and "qcow2" in v)
    lab.lab.pool_path.joinpath(disk).unlink()
    listed = {vm["name"]: vm["problem"] for vm in lab.listed()}
    assert listed["whole"] in ("", None)
    assert disk in listed["broken"]
    lab.ims.delete_vm("broken")


def test_a_name_made_up_is_printed_and_delete_leaves_all_as_it_was(lab: Lab) -> None:
    before = lab.leftovers()
    made = lab.cli("create-vm", "--memory", "128M")
    assert made.returncode == 0, made.stderr
    (vm,) = lab.listed()
    assert vm["name"] in made.stdout
    assert virsh("domstate", vm["name"]).strip() == "running"
    assert lab.cli("delete-vm", vm["name"]).returncode == 0
    assert lab.leftovers() == before
    assert lab.cli("delete-vm", vm["name"]).returncode == 3


def test_a_dry_run_prints_the_domain_and_makes_nothing(lab: Lab) -> None:
    before = lab.leftovers()
    planned = lab.cli("create-vm", "dry", "--dry-run", "--set", "key=value")
    assert planned.stdout.lstrip().startswith("<domain ")
    assert "<name>dry</name>" in planned.stdout
    assert lab.leftovers() == before


def test_states_and_metrics_cost_the_same_requests_for_one_vm_and_for_many(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = libvirt_calls(monkeypatch)
    lab.ims.create_vm("trip0", memory=MEMORY, wait="defined")
    one = requests_of(lab, calls)
    for index in range(1, 8):
        lab.ims.create_vm(f"trip{index}", memory=MEMORY, wait="defined")
    assert requests_of(lab, calls) == one
    assert one["metrics"] == ["getAllDomainStats"]
    lab.ims.start_vm("trip0")
    lab.ims.suspend_vm("trip0")
    assert [vm.state for vm in lab.ims.list_vms()].count(State.SUSPENDED) == 1
    assert requests_of(lab, calls) == one


def requests_of(lab: Lab, calls: list[str]) -> dict[str, list[str]]:
    """What the verbs ask libvirt for, but for VMs that were there before the test."""
    found = {}
    for verb, call in (("list", lab.ims.list_vms), ("metrics", lab.ims.metrics)):
        calls.clear()
        call()
        found[verb] = sorted(calls)
    if lab.others:
        found["metrics"] = [call for call in found["metrics"] if call == "getAllDomainStats"][:1]
    return found


def test_the_example_of_the_documentation_runs(lab: Lab) -> None:
    example = Path(__file__).parents[2] / "docs" / "example.py"
    assert len(example.read_text().splitlines()) <= 12
    done = subprocess.run(
        [sys.executable, str(example)], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "applied sha256:" in done.stdout
    assert "cpu_seconds" in done.stdout
