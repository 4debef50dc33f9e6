from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_signals import read_until

if TYPE_CHECKING:
    from tests.cli.helpers import Cli


def test_several_vms_are_made_and_listed(cli: Cli) -> None:
    made = cli("create-vm", "web", "--count", "3", "--output", "json")
    assert made.status == 0
    assert [vm["name"] for vm in made.data] == ["web-1", "web-2", "web-3"]
    shown = cli("create-vm", "--count", "2")
    assert shown.status == 0
    assert len(shown.out.splitlines()) == 3


def test_of_several_each_is_made_or_not_for_itself(cli: Cli) -> None:
    cli.ok("create-vm", "web-2")
    done = cli("create-vm", "web", "--count", "3", "--output", "json")
    assert done.status == 4
    assert [entry.get("error", {}).get("code") for entry in done.data] == [None, "vm-exists", None]
    assert "ims: there is a VM 'web-2' already" in done.err
    assert len(cli.json("list-vms")) == 3


@pytest.mark.parametrize(
    "option", [("--ip", "192.0.2.9"), ("--mac", "52:54:00:00:00:01"), ("--hostname", "one")]
)
def test_what_one_vm_can_have_is_refused_for_several(cli: Cli, option: tuple[str, str]) -> None:
    done = cli("create-vm", "web", "--count", "2", *option)
    assert done.status == 2
    assert option[0] in done.err
    assert cli.json("list-vms") == []


def test_a_signal_rolls_all_of_several_back(cli: Cli) -> None:
    cli.configure(receipts="none")
    with cli.start("create-vm", "web", "--count", "12", "--wait", "ready") as process:
        read_until(process, "no receipt yet")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert cli.left_behind() == []
    assert cli.json("list-operations", "--unfinished") == []


def test_operations_are_listed_and_shown(cli: Cli) -> None:
    cli.ok("create-vm", "web01", "--request-id", "r-1")
    again = cli.json("create-vm", "web01", "--request-id", "r-1")
    assert [vm["uuid"] for vm in cli.json("list-vms")] == [again["uuid"]]
    shown = cli.json("show-operation", "r-1")
    assert shown["kind"] == "create-vm"
    assert shown["outcome"] == "done"
    assert [each["kind"] for each in shown["resources"]] == ["volume", "seed", "domain"]
    assert shown["id"] in cli.ok("list-operations", "--pool", "lab").out
    table = cli.ok("show-operation", shown["id"]).out
    assert "create: creating web01" in table
    missing = cli("show-operation", "0123456789abcdef", "--output", "json")
    assert (missing.status, missing.error["code"]) == (3, "operation-not-found")


def test_pieces_that_were_kept_are_removed_by_the_command_that_is_printed(cli: Cli) -> None:
    cli.configure(fail=["start"])
    failed = cli("create-vm", "web01", "--keep-on-failure")
    assert failed.status == 10
    [line] = [each for each in failed.err.splitlines() if "ims recover" in each]
    command = line.partition("`ims ")[2].partition("`")[0].split()
    cli.configure()
    assert "pieces were kept" in cli.json("check")[-1]["message"]
    would = cli.json(*command, "--dry-run")
    assert "volume web01-" in would[0]["message"]
    assert cli.left_behind() != []
    cli.ok(*command)
    assert cli.left_behind() == []


def test_recover_says_by_its_status_what_could_not_be_ended(cli: Cli) -> None:
    cli.configure(fail=["start", "discard.volume"])
    assert cli("create-vm", "web01").status == 10
    stuck = cli("recover", "--output", "json")
    assert stuck.status == 1
    assert "discard.volume" not in stuck.out
    identity = stuck.data[0]["id"]
    cli.ok("recover", identity, "--give-up")
    assert cli("recover", "--give-up").status == 2
    assert cli.json("recover") == []


def test_a_foreign_vm_is_adopted(cli: Cli) -> None:
    cli.ok("create-vm", "web01")
    moved = cli.folder / "another"
    cli.patch.setenv("IMS_STATE", str(moved))
    assert any("another store" in each["message"] for each in cli.json("check"))
    cli.ok("adopt-vm", "web01")
    assert not any("another store" in each["message"] for each in cli.json("check"))
