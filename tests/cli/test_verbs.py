from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.helpers import Cli

FLAT = {
    "name": str,
    "uuid": str,
    "pool": str,
    "state": str,
    "ours": bool,
    "complete": bool,
    "template": str,
    "memory_bytes": int,
    "vcpus": int,
    "problem": None,
}


def make_foreign(cli: Cli, name: str) -> None:
    """A VM that somebody made with other tools."""
    (cli.pool / "domains" / f"{name}.json").write_text(json.dumps({"name": name, "state": "off"}))


@pytest.mark.parametrize("count", [0, 1, 50])
def test_list_vms_as_json_with_any_number(cli: Cli, count: int) -> None:
    for number in range(count):
        cli.ok("create-vm", f"vm{number:02}", "--wait", "defined", "--quiet")
    result = cli.ok("list-vms", "--output", "json")
    tool = [sys.executable, "-m", "json.tool"]
    subprocess.run(tool, input=result.out, text=True, capture_output=True, check=True)
    assert [vm["name"] for vm in result.data] == [f"vm{number:02}" for number in range(count)]
    for vm in result.data:
        assert list(vm) == list(FLAT)
        for key, kind in FLAT.items():
            assert vm[key] is None if kind is None else isinstance(vm[key], kind)


def test_list_vms_shows_what_is_wrong_and_who_made_it(cli: Cli) -> None:
    cli.ok("create-vm", "broken")
    next((cli.pool / "volumes").iterdir()).unlink()
    make_foreign(cli, "theirs")
    assert "theirs" not in cli.ok("list-vms").out
    every = {vm["name"]: vm for vm in cli.json("list-vms", "--all")}
    assert "is missing" in every["broken"]["problem"]
    assert (every["broken"]["ours"], every["theirs"]["ours"]) == (True, False)
    assert every["theirs"]["memory_bytes"] is None
    lines = cli.ok("list-vms", "--all").out.splitlines()
    assert lines[0].split() == [
        "NAME",
        "STATE",
        "TEMPLATE",
        "POOL",
        "OURS",
        "PROBLEM",
    ]
    assert lines[2].split() == ["theirs", "stopped", "-", "lab", "no", "-"]


def test_a_foreign_vm_is_not_deleted(cli: Cli) -> None:
    make_foreign(cli, "theirs")
    result = cli("delete-vm", "theirs", "--output", "json")
    assert (result.status, result.error["code"]) == (4, "not-ours")
    assert [vm["name"] for vm in cli.json("list-vms", "--all")] == ["theirs"]


def test_create_vm_with_nothing_else_makes_up_a_name_and_prints_it(cli: Cli) -> None:
    made = cli.ok("create-vm")
    shown = dict(line.split(maxsplit=1) for line in made.out.splitlines())
    assert shown == {"name": shown["name"], "pool": "lab", "template": "tiny", "state": "running"}
    assert f"starting {shown['name']}" in made.err
    assert cli.ok("delete-vm", shown["name"]).out == f"{shown['name']} is deleted\n"
    assert cli.left_behind() == []


def test_create_vm_ready_prints_addresses_and_the_receipts_digest(cli: Cli) -> None:
    made = cli.ok("create-vm", "web01", "--wait", "ready")
    digest = cli.json("show-vm", "web01")["context_digest"]
    assert f"good, {digest}" in made.out
    assert "192.0.2.2/24 (lease, receipt)" in made.out


def test_addresses_that_were_not_asked_for_are_null(cli: Cli) -> None:
    assert cli.json("create-vm", "web01")["addresses"] is None
    cli.ok("stop-vm", "web01")
    assert cli.json("start-vm", "web01", "--wait", "address")["addresses"]


def test_quiet_drops_progress(cli: Cli) -> None:
    assert cli.ok("create-vm", "--quiet").err == ""


def test_dry_run_prints_the_native_artefact_and_makes_nothing(cli: Cli) -> None:
    plan = cli.ok("create-vm", "web01", "--dry-run", "--memory", "1G").out
    assert json.loads(plan)["memory"] == 1 << 30  # the fake provider's own format
    assert json.loads(cli.json("create-vm", "web01", "--dry-run")["plan"])["name"] == "web01"
    assert cli.json("list-vms") == []


def test_stop_start_and_force(cli: Cli) -> None:
    cli.ok("create-vm", "web01")
    assert cli.json("stop-vm", "web01") == {"name": "web01", "state": "stopped"}
    cli.ok("start-vm", "web01", "--wait", "ready")
    cli.configure(shutdown="ignores")
    result = cli("stop-vm", "web01", "--timeout", "0.1", "--output", "json")
    assert (result.status, result.error["code"]) == (8, "timeout")
    assert cli.ok("stop-vm", "web01", "--force").out == "web01 is stopped\n"


def test_suspend_resume_and_reboot(cli: Cli) -> None:
    cli.ok("create-vm", "web01", "--wait", "ready")
    answered = cli.json("show-vm", "web01")["receipt"]
    assert cli.json("suspend-vm", "web01") == {"name": "web01", "state": "suspended"}
    assert cli.ok("suspend-vm", "web01").out == "web01 is suspended\n"
    assert cli.json("list-vms")[0]["state"] == "suspended"
    result = cli("stop-vm", "web01", "--output", "json")
    assert (result.status, result.error["code"]) == (4, "vm-suspended")
    resumed = cli.json("resume-vm", "web01", "--wait", "address")
    assert resumed["state"] == "running"
    assert resumed["receipt"] == answered
    assert "state     running" in cli.ok("resume-vm", "web01").out
    cli.configure(shutdown="ignores")
    result = cli("reboot-vm", "web01", "--timeout", "0.1", "--output", "json")
    assert (result.status, result.error["code"]) == (8, "timeout")
    again = cli.json("reboot-vm", "web01", "--force", "--wait", "ready")
    assert again["receipt"]["ready"] is True


def test_pause_and_resume(cli: Cli) -> None:
    cli.ok("create-vm", "web01")
    assert cli.json("pause-vm", "web01") == {"name": "web01", "state": "paused"}
    assert cli.ok("pause-vm", "web01").out == "web01 is paused\n"
    assert cli.json("list-vms")[0]["state"] == "paused"
    assert "resume-vm" in cli.ok("pause-vm", "--help").out
    assert cli.json("resume-vm", "web01")["state"] == "running"


def test_snapshots_come_and_go(cli: Cli) -> None:
    cli.ok("create-vm", "web01", "--wait", "ready")
    taken = cli.json("snapshot-vm", "web01", "--name", "first")
    assert list(taken) == ["vm", "name", "taken", "operation", "memory", "current"]
    assert (taken["vm"], taken["name"], taken["memory"]) == ("web01", "first", True)
    again = cli("snapshot-vm", "web01", "--name", "first", "--output", "json")
    assert (again.status, again.error["code"]) == (4, "snapshot-exists")
    made_up = cli.ok("snapshot-vm", "web01", "--quiet")
    assert re.fullmatch(r"snapshot snap-[0-9]{8}-[0-9]{6} of web01 is taken\n", made_up.out)
    assert made_up.err == ""
    first, second = cli.json("list-snapshots", "web01")
    assert {"vm": "web01", **first} == {**taken, "current": False}
    assert (second["name"], second["current"]) == (made_up.out.split()[1], True)
    head, line, _ = cli.ok("list-snapshots", "web01").out.splitlines()
    assert head.split() == ["NAME", "TAKEN", "MEMORY", "CURRENT", "OPERATION"]
    assert line.split()[::2] == ["first", "yes", taken["operation"]]
    assert "- name: first\n" in cli.ok("list-snapshots", "web01", "--output", "yaml").out
    running = cli("restore-snapshot", "web01", "first", "--output", "json")
    assert (running.status, running.error["code"]) == (4, "vm-running")
    cli.ok("stop-vm", "web01")
    assert cli.json("restore-snapshot", "web01", "first")["state"] == "suspended"
    cli.ok("stop-vm", "web01", "--force")
    assert "state     suspended" in cli.ok("restore-snapshot", "web01", "first").out
    assert cli.json("resume-vm", "web01")["state"] == "running"
    gone = cli.json("delete-snapshot", "web01", "first")
    assert gone == {"vm": "web01", "name": "first", "deleted": True}
    told = cli.ok("delete-snapshot", "web01", second["name"]).out
    assert told == f"snapshot {second['name']} of web01 is deleted\n"
    assert cli.json("list-snapshots", "web01") == []
    missing = cli("delete-snapshot", "web01", "first", "--output", "json")
    assert (missing.status, missing.error["code"]) == (3, "snapshot-not-found")


def test_a_vm_is_cloned(cli: Cli) -> None:
    cli.ok("create-vm", "web01", "--ip", "192.0.2.10/24", "--set", "role=db", "--memory", "64M")
    running = cli("clone-vm", "web01", "--output", "json")
    assert (running.status, running.error["code"]) == (4, "vm-running")
    cli.ok("stop-vm", "web01")
    made = cli.json("clone-vm", "web01", "web02", "--ip", "192.0.2.11", "--wait", "ready")
    assert (made["name"], made["state"], made["memory_bytes"]) == ("web02", "running", 64 << 20)
    assert made["receipt"]["ready"] is True
    assert {each["address"] for each in made["addresses"]} == {"192.0.2.11/24"}
    files = cli.json("show-context", "web02", "--reveal")["files"]
    text = "".join(each["text"] for each in files.values())
    assert "role" in text
    assert "web02" in text
    assert "web01" not in text
    shown = dict(line.split(maxsplit=1) for line in cli.ok("clone-vm", "web01").out.splitlines())
    assert shown["state"] == "running"
    assert "from VM web01" in cli.ok("clone-vm", "web01", "--wait", "defined").err
    for vm in cli.json("list-vms"):
        cli.ok("delete-vm", vm["name"])
    assert cli.left_behind() == []


def test_set_ip_on_a_running_vm_is_pending_and_show_vm_shows_both(cli: Cli) -> None:
    cli.ok("create-vm", "web01", "--ip", "192.0.2.10/24")
    told = cli.ok("set-ip", "web01", "192.0.2.20")
    assert told.out == "web01 interface 0: 192.0.2.20/24, pending until next start\n"
    shown = cli.json("show-vm", "web01")
    assert [each["address"] for each in shown["addresses"]] == ["192.0.2.10/24"]
    assert shown["pending_addresses"] == ["192.0.2.20/24"]
    text = cli.ok("show-vm", "web01").out
    assert "192.0.2.10/24 (receipt)" in text
    assert "192.0.2.20/24 (from the next start on)" in text
    cli.ok("stop-vm", "web01")
    cli.ok("start-vm", "web01", "--wait", "ready")
    assert cli.ok("get-ip", "web01").out == "192.0.2.20/24  receipt\n"
    assert "pending" not in cli.ok("show-vm", "web01").out


def test_set_ip_back_to_dhcp(cli: Cli) -> None:
    cli.ok("create-vm", "web01", "--ip", "192.0.2.10/24", "--wait", "defined")
    told = cli.ok("set-ip", "web01", "--dhcp")
    assert told.out == "web01 interface 0: DHCP, takes effect at the next start\n"


def test_set_ip_refuses_what_another_vm_has(cli: Cli) -> None:
    cli.ok("create-vm", "web01", "--ip", "192.0.2.10/24")
    cli.ok("create-vm", "web02")
    result = cli("set-ip", "web02", "192.0.2.10", "--output", "json")
    assert (result.status, result.error["code"]) == (4, "address-taken")


def test_set_ip_needs_addresses_or_dhcp(cli: Cli) -> None:
    assert cli("set-ip", "web01").status == 2
    assert cli("set-ip", "web01", "192.0.2.10", "--dhcp").status == 2


def test_get_ip_gives_every_source_its_own_object_in_json(cli: Cli) -> None:
    cli.ok("create-vm", "web01")
    found = cli.json("get-ip", "web01")
    assert [each["source"] for each in found] == ["lease", "receipt"]
    assert {each["address"] for each in found} == {"192.0.2.2/24"}
    assert cli.ok("get-ip", "web01").out == "192.0.2.2/24  lease, receipt\n"


def test_get_ip_of_a_vm_without_addresses_is_empty(cli: Cli) -> None:
    cli.ok("create-vm", "web01", "--wait", "defined")
    assert cli.ok("get-ip", "web01").out == ""
    assert cli.json("get-ip", "web01") == []


def test_metrics_are_bytes_in_json_and_units_in_tables(cli: Cli) -> None:
    cli.ok("create-vm", "web01")
    (found,) = cli.json("metrics", "web01")
    assert found["memory_max_bytes"] == 512 << 20
    assert found["timestamp"] > 1e9
    head, line = cli.ok("metrics").out.splitlines()
    assert head.startswith("NAME   TIME                  CPU")
    assert "512 MiB" in line


def test_templates_come_and_go(empty: Cli, image: Path) -> None:
    imported = empty.ok("import-template", image, "--min-memory", "64M", "--default-user", "admin")
    assert "warning: no --sha256 was given" in imported.err
    (template,) = empty.json("list-templates")
    assert template["name"] == "tiny"
    assert (template["size_bytes"], template["min_memory_bytes"]) == (4096, 64 << 20)
    assert template["default_user"] == "admin"
    assert "4 KiB" in empty.ok("list-templates").out
    empty.ok("import-template", image, "--name", "two", "--sha256", template["digest"][7:])
    assert empty.ok("delete-template", "tiny").out == "tiny is deleted\n"
    assert [each["name"] for each in empty.json("list-templates")] == ["two"]


def test_an_archive_with_disks_is_no_template_for_every_provider(
    empty: Cli, tmp_path: Path
) -> None:
    (tmp_path / "vm.cfg").touch()
    (tmp_path / "System.img").write_bytes(bytes(512))
    archive = tmp_path / "el5.tgz"
    with tarfile.open(archive, "w:gz") as packed:
        for name in ("vm.cfg", "System.img"):
            packed.add(tmp_path / name, name)
    for declared in ([], ["--format", "ovm-template"]):
        refused = empty("import-template", archive, *declared, "--output", "json")
        assert (refused.status, refused.error["code"]) == (5, "unsupported")
        assert refused.error["message"] == "provider fake makes no VMs from ovm-template images"
        assert refused.error["hint"] == "formats: qcow2, raw"


def test_check_says_what_is_well(empty: Cli) -> None:
    assert empty.ok("check").out.startswith("ok   directory: ")
    assert all(finding["ok"] for finding in empty.json("check"))


def test_a_plugin_of_somebody_else_is_listed_and_works(odd: Cli) -> None:
    listed = {each["name"]: each for each in odd.json("list-providers")}
    assert listed["odd"] == {
        "name": "odd",
        "distribution": "somebody-else",
        "target": "tests.cli.odd_provider:OddProvider",
        "problem": None,
    }
    assert "no_such_module" in listed["broken"]["problem"]
    assert listed["fake"]["problem"] is None
    assert "ModuleNotFoundError" in odd.ok("list-providers").out
    odd.ok("create-vm", "web01", "--provider", "odd", "--wait", "ready")


def test_show_provider_tells_features_and_settings(odd: Cli) -> None:
    fake, mine = odd.json("show-provider", "fake"), odd.json("show-provider", "odd")
    assert fake["optional_features"] == {
        "templates": True,
        "console": False,
        "console-log": True,
        "live-context": True,
        "suspend": True,
        "pause": True,
        "snapshots": True,
        "clone": True,
        "watch": True,
        "injection": True,
    }
    assert mine["optional_features"]["console"] is True
    delay = next(each for each in fake["settings"] if each["name"] == "delay")
    assert delay == {
        "name": "delay",
        "type": "float",
        "required": False,
        "default": 0.0,
        "description": "Seconds that each changing step takes.",
    }
    text = odd.ok("show-provider", "fake").out
    assert "setting delay, default 0.0\n    Seconds that each changing step takes." in text


def test_yaml_output(cli: Cli) -> None:
    assert cli.ok("list-vms", "--output", "yaml").out == "[]\n"
    assert "- name: tiny\n" in cli.ok("list-templates", "--output", "yaml").out


def test_console_log(cli: Cli) -> None:
    cli.ok("create-vm", "web01")
    assert "web01: booting" in cli.ok("console-vm", "web01", "--log").out
    tail = cli.json("console-vm", "web01", "--log", "--lines", "1")
    assert len(tail["lines"]) == 1
