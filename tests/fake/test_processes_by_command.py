"""Guests that are processes, by the command: each call is a process of its own, and so are they."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.helpers import CODE, environment
from tests.fake.pools import TEMPLATE, left_below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONSOLE = ("console-vm", "web01", "--log")
SECONDS = 120


@dataclass(frozen=True)
class Ims:
    """The command over a configuration of the test's own."""

    pool: Path

    def __call__(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-c", CODE, *arguments],
            env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--output", "json", "--quiet"))

    def in_guest(self, vm: dict[str, str], path: str) -> str:
        return (self.pool / "guests" / vm["uuid"] / "root" / path).read_text()


@pytest.fixture
def ims(pool: Path, own_state: Path) -> Iterator[Ims]:
    settings = {
        "provider": "fake",
        "template": TEMPLATE,
        "directory": str(pool),
        "guests": "processes",
        "guest_seconds": 300,
    }
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    (own_state / "ims.toml").write_text(f"[pools.fake]\n{lines}")
    yield Ims(pool)
    for description in (pool / "domains").glob("*.json"):
        description.unlink()  # whatever a test that failed has left ends by this


def test_a_vm_becomes_ready_and_is_told_again_while_it_runs(ims: Ims) -> None:
    vm = ims.json(
        *("create-vm", "web01", "--provider", "fake", "--wait", "ready"),
        *("--hostname", "web01.example.org", "--ip", "192.0.2.40", "--set", "role=web"),
    )
    assert (vm["state"], vm["name"]) == ("running", "web01")
    assert ims.in_guest(vm, "etc/hostname") == "web01.example.org\n"
    assert "ip addr add 192.0.2.40/24 dev eth0" in ims.in_guest(vm, "run/ims/commands")
    shown = ims.json("show-vm", "web01")
    assert ("192.0.2.40/24", "receipt") in {(a["address"], a["source"]) for a in shown["addresses"]}
    ims("update-context", "web01", "--hostname", "web02.example.org", "--wait", "ready")
    assert ims.in_guest(vm, "etc/hostname") == "web02.example.org\n"
    assert "web01: booting" in ims(*CONSOLE)
    ims("stop-vm", "web01")
    assert ims.json("show-vm", "web01")["state"] == "stopped"
    assert not left_below(ims.pool)
    ims("start-vm", "web01", "--wait", "ready")
    ims("delete-vm", "web01")
    assert not left_below(ims.pool)
    assert not list((ims.pool / "guests").iterdir())


def test_a_script_is_put_there_and_noted_down(ims: Ims, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\n>{tmp_path}/ran\n")
    vm = ims.json("create-vm", "web01", "--wait", "ready", "--script", str(script))
    assert "/var/lib/ims/scripts/0000" in ims.in_guest(vm, "run/ims/commands")
    assert not (tmp_path / "ran").exists()
    ims("delete-vm", "web01")


def test_a_guest_of_cloud_init_finds_nothing(ims: Ims) -> None:
    vm = ims.json("create-vm", "web01", "--context-layout", "nocloud", "--wait", "running")
    end = time.monotonic() + SECONDS
    while "no context was found; nothing to do" not in (console := ims(*CONSOLE)):
        assert time.monotonic() < end, console
    assert not (ims.pool / "guests" / vm["uuid"] / "root/run/ims/receipt").exists()
    ims("delete-vm", "web01")
