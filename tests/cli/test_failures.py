from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.helpers import Cli

KEYS = {"code", "message", "hint", "vm", "pool", "operation", "retryable", "details", "cause"}

WRONG = {
    ("create-vm", "a/b"): (2, "invalid-name"),
    ("create-vm", "it's"): (2, "invalid-name"),
    ("create-vm", 'say "hi"'): (2, "invalid-name"),
    ("create-vm", "two\nlines"): (2, "invalid-name"),
    ("create-vm", "--memory", "12 bananas"): (2, "invalid-value"),
    ("create-vm", "--disk", "-1G"): (2, "invalid-value"),
    ("create-vm", "--vcpus", "0"): (2, "invalid-value"),
    ("create-vm", "--vcpus", "many"): (2, "usage"),
    ("create-vm", "--timeout", "nan"): (2, "usage"),
    ("create-vm", "--timeout", "0"): (2, "usage"),
    ("create-vm", "--wait", "forever"): (2, "usage"),
    ("create-vm", "--provider", "nope"): (3, "provider-not-found"),
    ("create-vm", "--pool", "nope"): (3, "pool-not-found"),
    ("create-vm", "--template", "nope"): (3, "template-not-found"),
    ("create-vm", "--context-layout", "nope"): (3, "layout-not-found"),
    ("create-vm", "--context-carrier", "pigeon"): (5, "carrier-impossible"),
    ("create-vm", "--ip", "203.0.113.9/24"): (2, "invalid-value"),
    ("create-vm", "--network", "nope"): (3, "network-not-found"),
    ("create-vm", "--interface", "ip"): (2, "invalid-value"),
    ("create-vm", "--interface", "mac=a,mac=b"): (2, "invalid-value"),
    ("create-vm", "--set", "novalue"): (2, "invalid-value"),
    ("create-vm", "--set", "a=1", "--set", "a=2"): (2, "invalid-value"),
    ("create-vm", "--secret", "key=/no/such/file"): (2, "unreadable-file"),
    ("create-vm", "--file", "/etc/motd=/"): (2, "unreadable-file"),
    ("create-vm", "--script", "/no/such\0file"): (2, "unreadable-file"),
    ("create-vm", "--user-data", "/no/such/file"): (2, "unreadable-file"),
    ("create-vm", "--ssh-key", "/etc/hostname"): (2, "invalid-ssh-key"),
    ("create-vm", "--secret", "a=-", "--secret", "b=-"): (2, "invalid-value"),
    ("start-vm", "nope"): (3, "vm-not-found"),
    ("stop-vm", "nope"): (3, "vm-not-found"),
    ("suspend-vm", "nope"): (3, "vm-not-found"),
    ("resume-vm", "nope"): (3, "vm-not-found"),
    ("resume-vm", "nope", "--wait", "ready"): (2, "usage"),
    ("pause-vm", "nope"): (3, "vm-not-found"),
    ("snapshot-vm", "nope"): (3, "vm-not-found"),
    ("snapshot-vm", "nope", "--name", "a b"): (2, "invalid-name"),
    ("list-snapshots", "nope"): (3, "vm-not-found"),
    ("restore-snapshot", "nope", "first"): (3, "vm-not-found"),
    ("restore-snapshot", "nope"): (2, "usage"),
    ("delete-snapshot", "nope", "first"): (3, "vm-not-found"),
    ("clone-vm", "nope"): (3, "vm-not-found"),
    ("clone-vm",): (2, "usage"),
    ("reboot-vm", "nope"): (3, "vm-not-found"),
    ("delete-vm", "nope"): (3, "vm-not-found"),
    ("show-vm", "nope"): (3, "vm-not-found"),
    ("metrics", "nope"): (3, "vm-not-found"),
    ("get-ip", "nope"): (3, "vm-not-found"),
    ("set-ip", "nope", "192.0.2.3"): (3, "vm-not-found"),
    ("console-vm", "nope", "--log"): (3, "vm-not-found"),
    ("console-vm", "nope"): (5, "unsupported"),
    ("delete-template", "nope"): (3, "template-not-found"),
    ("show-provider", "nope"): (3, "provider-not-found"),
    ("import-template", "/no/such.qcow2"): (2, "image-not-found"),
    ("import-template", "/tmp/---.img"): (2, "usage"),
    ("list-vms", "--bogus"): (2, "usage"),
    ("show-vm",): (2, "usage"),
    ("no-such-verb",): (2, "usage"),
}


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_what_is_wrong_ends_in_a_sentence_a_hint_and_a_status(
    cli: Cli, words: tuple[str, ...]
) -> None:
    status, code = WRONG[words]
    plain = cli(*words)
    assert plain.status == status
    assert plain.out == ""
    said = [line for line in plain.err.splitlines() if line.startswith(("ims: ", "hint: "))]
    assert [line.partition(":")[0] for line in said] == ["ims", "hint"]
    assert "Traceback" not in plain.err

    result = cli(*words, "--output", "json")
    assert (result.status, result.error["code"]) == (status, code)
    assert set(result.error) == KEYS
    assert said[0] == f"ims: {result.error['message']}"
    assert cli.left_behind() == []


def test_errors_follow_yaml_too(cli: Cli) -> None:
    assert cli("show-vm", "nope", "--output=yaml").out.startswith("error:\n  code: vm-not-found")


def test_a_wrong_format_is_a_usage_error_in_words(cli: Cli) -> None:
    result = cli("list-vms", "--output", "xml")
    assert (result.status, result.out) == (2, "")
    assert "hint: `ims list-vms --help`" in result.err


def test_the_hint_of_a_missing_template_is_the_import_command(empty: Cli) -> None:
    assert "ims import-template" in empty("create-vm").err


def test_a_value_of_set_that_may_be_a_secret_is_not_repeated(cli: Cli) -> None:
    assert "hunter2" not in cli("create-vm", "--secret", "=hunter2").err


def test_a_private_key_is_refused_and_its_public_half_named(cli: Cli, tmp_path: Path) -> None:
    key = tmp_path / "id_ed25519"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n")
    result = cli("create-vm", "--ssh-key", key)
    assert "is a private key" in result.err
    assert ".pub" in result.err


def test_a_guest_that_never_answers_ends_with_its_console_indented(cli: Cli) -> None:
    cli.configure(receipts="none")
    result = cli("create-vm", "web01", "--wait", "ready", "--timeout", "0.1")
    assert result.status == 8
    assert "\n  web01: booting a fake guest\n" in result.err
    assert cli.left_behind() == []


@pytest.mark.parametrize("receipts", ["bad-digest", "failed-item"])
def test_a_context_that_was_not_applied_ends_early(cli: Cli, receipts: str) -> None:
    cli.configure(receipts=receipts)
    result = cli("create-vm", "--wait", "ready", "--output", "json")
    assert (result.status, result.error["code"]) == (9, "context-not-applied")
    assert result.error["details"]


def test_nothing_from_a_hypervisor_reaches_the_terminal_raw(odd: Cli) -> None:
    said = odd("show-vm", "evil").err
    assert "bad \\x1b]0;title\\x07 name \\u202egpj" in said
    assert "cause: why" in said
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", said)


def test_a_defect_is_one_line_unless_it_is_debugged(
    odd: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = odd("show-vm", "boom", "--output", "json")
    assert (result.status, result.error["code"]) == (70, "internal-error")
    assert result.err.startswith("ims: internal error: RuntimeError: the plugin is\\nbroken\nhint:")
    monkeypatch.setenv("IMS_DEBUG", "1")
    assert "Traceback" in odd("show-vm", "boom").err


def test_a_configuration_that_is_not_toml(cli: Cli) -> None:
    (cli.folder / "ims.toml").write_text("[pools")
    result = cli("list-vms", "--output", "json")
    assert (result.status, result.error["code"]) == (2, "invalid-config")


def test_a_reader_that_went_away_is_no_traceback(cli: Cli) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    piped = cli.run_into(writing, "list-vms")
    os.close(writing)
    assert piped.status == 1
    assert piped.err == ""


def test_a_full_disk_is_one_sentence(cli: Cli) -> None:
    with Path("/dev/full").open("w") as full:
        result = cli.run_into(full.fileno(), "list-vms", "--output", "json")
    assert result.status == 1
    assert result.err == "ims: No space left on device\n"


def test_an_error_while_stderr_is_closed_still_has_its_status(cli: Cli) -> None:
    result = cli.shell('"$@" 2>&-', "show-vm", "nope", "--output", "json")
    assert result.status == 3
    assert json.loads(result.out)["error"]["code"] == "vm-not-found"
