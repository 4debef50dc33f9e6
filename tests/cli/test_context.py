"""``show-context`` and ``update-context``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.helpers import Cli

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
SECRET = "correct horse"  # noqa: S105
PRIVATE = (
    f"-----BEGIN OPENSSH PRIVATE KEY-----\n{'c2VjcmV0' * 12}\n-----END OPENSSH PRIVATE KEY-----\n"
)


@pytest.fixture
def vm(cli: Cli, tmp_path: Path) -> str:
    (tmp_path / "password").write_text(SECRET)
    secret = f"password={tmp_path / 'password'}"
    cli.ok("create-vm", "web01", "--set", "role=web", "--secret", secret, "--quiet")
    return "web01"


def conf(cli: Cli, *options: str) -> str:
    text: str = cli.json("show-context", "web01", *options)["files"]["bootparams.conf"]["text"]
    return text


def test_what_is_shown_holds_no_secret_unless_it_is_asked_for(cli: Cli, vm: str) -> None:
    shown = cli.ok("show-context", vm)
    assert "--- bootparams.conf (" in shown.out
    assert "IMS_HOSTNAME='web01'" in shown.out.splitlines()
    assert SECRET not in shown.out + shown.err + cli.ok("show-context", vm, "--output", "json").out
    assert f"IMS_PROPERTY_1_VALUE='{SECRET}'" in cli.ok("show-context", vm, "--reveal").out
    digest = cli.json("show-vm", vm)["context_digest"]
    assert cli.json("show-context", vm)["digest"] == digest


def test_another_layout(cli: Cli, vm: str) -> None:
    data = cli.json("show-context", vm, "--layout", "nocloud")
    assert (data["layout"], data["label"], data["carrier"]) == ("nocloud", "cidata", "iso")
    assert cli("show-context", vm, "--layout", "nope").status == 3


def test_bytes_that_are_no_text_are_base64(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\0\xff")
    cli.ok("create-vm", "web01", "--file", f"/etc/bytes={tmp_path / 'bytes'}")
    assert cli.json("show-context", "web01", "--reveal")["files"]["files/0000"] == {
        "base64": "AP8="
    }
    assert "AP8=" in cli.ok("show-context", "web01", "--reveal").out


def test_control_characters_reach_no_terminal(cli: Cli) -> None:
    cli.ok("create-vm", "web01", "--set", "a=\x1b[2J\u202e")
    out = cli.ok("show-context", "web01").out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b[2J" in out


def test_what_is_given_is_added_or_replaces_its_namesake(cli: Cli, vm: str, tmp_path: Path) -> None:
    script = tmp_path / "setup"
    script.write_text("#!/bin/sh\n")
    words = ("--set", "role=db", "--set", "zone=b", "--script", script, "--hostname", "db01")
    updated = cli.json("update-context", vm, *words)
    assert updated["receipt"]["ready"] is True
    text = conf(cli, "--reveal")
    for line in ("IMS_HOSTNAME='db01'", "='role'", "='db'", "='zone'", "='b'", f"='{SECRET}'"):
        assert line in text
    assert "IMS_SCRIPTS='1'" in text
    cli.ok("update-context", vm, "--script", script, "--unset", "zone", "--unset", "password")
    text = conf(cli, "--reveal")
    assert "IMS_SCRIPTS='1'" in text, "a script of the same name takes the old one's place"
    assert "IMS_PROPERTIES='1'" in text
    assert SECRET not in text


def test_a_property_that_becomes_a_secret_is_one(cli: Cli, vm: str, tmp_path: Path) -> None:
    (tmp_path / "role").write_text("hidden")
    cli.ok("update-context", vm, "--secret", f"role={tmp_path / 'role'}")
    assert "hidden" not in conf(cli)
    assert "hidden" in conf(cli, "--reveal")
    assert "IMS_PROPERTIES='2'" in conf(cli)


def test_a_stopped_vm_says_that_it_is_told_later(cli: Cli, vm: str) -> None:
    cli.ok("stop-vm", vm)
    result = cli.ok("update-context", vm, "--set", "role=db")
    assert "another from the next start on" in result.out
    assert cli.json("show-vm", vm)["context_pending"] is True
    assert "another from the next start on" in cli.ok("show-vm", vm).out


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        ((), 2, "usage"),
        (("--unset", "nope"), 2, "invalid-value"),
        (("--set", "role"), 2, "invalid-value"),
        (("--hostname", "-"), 2, "invalid-value"),
        (("--wait", "address", "--set", "a=b"), 2, "usage"),
    ],
)
def test_what_is_wrong_changes_nothing(
    cli: Cli, vm: str, words: tuple[str, ...], status: int, code: str
) -> None:
    before = conf(cli)
    result = cli("update-context", vm, *words, "--output", "json")
    assert (result.status, result.error["code"]) == (status, code)
    assert conf(cli) == before


def test_a_host_key_comes_with_its_public_half(cli: Cli, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(PRIVATE)
    assert cli("create-vm", "web01", "--host-key", key).status == 2, "there is no .pub"
    (tmp_path / "key.pub").write_text(f"{KEY} web01\n")
    cli.ok("create-vm", "web01", "--host-key", key)
    assert "IMS_HOST_KEY_0_TYPE='ed25519'" in conf(cli)
    assert "c2VjcmV0" not in conf(cli)
    assert "c2VjcmV0" in conf(cli, "--reveal")
    key.write_text("nothing like it")
    refused = cli("create-vm", "web02", "--host-key", key, "--output", "json")
    assert (refused.status, refused.error["code"]) == (2, "invalid-value")
    assert "host_keys[0].private" in refused.error["message"]


@pytest.mark.parametrize("word", ["db:hunter2", "hunter2", "db=hunter2", "=hunter2"])
def test_a_secret_given_in_the_wrong_way_is_not_repeated(cli: Cli, vm: str, word: str) -> None:
    for output in ("table", "json"):
        result = cli("update-context", vm, "--secret", word, "--output", output)
        assert result.status == 2
        assert "hunter2" not in result.out + result.err


def test_a_second_option_on_stdin_is_told_so(cli: Cli, vm: str) -> None:
    refused = cli("update-context", vm, "--secret", "a=-", "--secret", "b=-", "--output", "json")
    assert refused.status == 2
    assert refused.error["message"] == "--secret b: --secret a has read stdin already"


def test_what_is_not_said_of_a_user_stays_and_twice_is_refused(cli: Cli, tmp_path: Path) -> None:
    cli.ok("create-vm", "web01", "--user", "bob", "--ssh-key", KEY)
    cli.ok("update-context", "web01", "--user", "bob:sudo")
    text = conf(cli)
    assert f"IMS_USER_0_SSH_KEYS='{KEY}'" in text
    assert "IMS_USER_0_SUDO='yes'" in text
    for path in ("a", "b"):
        (tmp_path / path).mkdir()
        (tmp_path / path / "same").write_text("#!/bin/sh\n")
    twice = ("--script", tmp_path / "a/same", "--script", tmp_path / "b/same")
    assert "comes twice" in cli("update-context", "web01", *twice).err
