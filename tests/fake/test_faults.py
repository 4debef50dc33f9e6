"""What the settings make the pool do wrong, and that nothing of it stays."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import (
    CapacityError,
    ConfigError,
    ConflictError,
    DeadlineError,
    GuestError,
    HypervisorError,
    ImsError,
    InvalidError,
)
from ims_core.models import Context, State
from tests.fake.pools import SIZE, TEMPLATE, contents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core.service import Ims

    Connect = Callable[..., Ims]

CREATE_STEPS = (
    "prepare",
    "create.volume",
    "create.seed",
    "create.domain",
    "start.seed",
    "start",
    "inspect",
    "write-mark",
)


@pytest.mark.parametrize("step", CREATE_STEPS)
def test_a_create_that_fails_leaves_the_pool_byte_for_byte(
    connect: Connect, pool: Path, step: str
) -> None:
    before = contents(pool)
    with pytest.raises(HypervisorError, match=step) as caught:
        connect(fail=[step]).create_vm("web01", provider="fake", wait="ready")
    assert caught.value.code == "fault-injected"
    assert contents(pool) == before
    assert not caught.value.details
    connect().create_vm("web01", provider="fake", wait="ready")


def test_what_cannot_be_rolled_back_is_named(connect: Connect, pool: Path) -> None:
    before = set(contents(pool))
    with pytest.raises(HypervisorError) as caught:
        connect(fail=["create.domain", "discard.volume"]).create_vm("web01", provider="fake")
    (left,) = set(contents(pool)) - before
    assert caught.value.operation in left
    (line,) = caught.value.details
    assert line.startswith(f"left behind: volume web01-{caught.value.operation}")


def test_an_import_that_fails_leaves_the_pool_byte_for_byte(
    connect: Connect, pool: Path, tmp_path: Path
) -> None:
    before = contents(pool)
    for step in ("import.image", "import.manifest"):
        with pytest.raises(HypervisorError, match=step):
            connect(fail=[step]).import_template(str(tmp_path / "tiny.raw"), "other")
        assert contents(pool) == before
    connect().import_template(str(tmp_path / "tiny.raw"), "other")


def test_a_delete_that_fails_can_be_repeated(connect: Connect, pool: Path) -> None:
    before = contents(pool)
    connect().create_vm("web01")
    with pytest.raises(HypervisorError):
        connect(fail=["delete"]).delete_vm("web01")
    connect().delete_vm("web01")
    assert contents(pool) == before


def test_a_pool_that_is_full_refuses_and_stays_as_it_was(connect: Connect, pool: Path) -> None:
    before = contents(pool)
    with pytest.raises(CapacityError, match="web01-"):
        connect(capacity=SIZE + 100).create_vm("web01")
    with pytest.raises(CapacityError, match=r"\.iso"):  # the disk fits, its medium does not
        connect(capacity=2 * SIZE + 1000).create_vm("web01")
    assert contents(pool) == before


def test_a_network_without_free_addresses_refuses(connect: Connect) -> None:
    ims = connect(network="192.0.2.0/30")  # the gateway and one guest
    ims.create_vm("web01")
    with pytest.raises(CapacityError, match="no free address"):
        ims.create_vm("web02")
    assert [vm.name for vm in ims.list_vms()] == ["web01"]
    ims.delete_vm("web01")
    ims.create_vm("web02")


def test_a_guest_that_answers_well_is_ready(connect: Connect) -> None:
    vm = connect(receipts="good").create_vm("web01", wait="ready")
    assert vm.mark is not None
    assert vm.mark.complete
    assert vm.receipt is not None
    assert vm.receipt.digest == vm.mark.digest
    assert vm.receipt.nonce == vm.mark.nonce


@pytest.mark.parametrize(
    ("receipts", "error", "reason"),
    [
        ("bad-digest", GuestError, "other bytes"),
        ("failed-item", GuestError, "failed"),
        ("stale", DeadlineError, "earlier start"),
        ("none", DeadlineError, "not answered"),
    ],
)
def test_a_guest_that_does_not_answer_well_is_not_ready(
    connect: Connect, pool: Path, receipts: str, error: type[ImsError], reason: str
) -> None:
    before = contents(pool)
    patience = 1.5 if error is DeadlineError else 30
    with pytest.raises(error, match=reason) as caught:
        connect(receipts=receipts).create_vm("web01", wait="ready", timeout=patience)
    assert "web01: booting a fake guest" in caught.value.details, "the console's end is shown"
    assert contents(pool) == before


def test_nobody_waits_for_an_answer_that_cannot_come(connect: Connect, pool: Path) -> None:
    before = contents(pool)
    raw = Context(user_data=b"#!/bin/sh\n")
    with pytest.raises(InvalidError) as caught:
        connect().create_vm("web01", layout="opennebula", context=raw, wait="ready")
    assert caught.value.code == "wait-impossible"
    assert contents(pool) == before
    vm = connect().create_vm("web01", layout="nocloud", context=raw, wait="ready")
    assert vm.receipt is not None, "its vendor-data answers whatever the user-data is"


def test_a_guest_that_ignores_the_request_keeps_running(connect: Connect) -> None:
    ims = connect(shutdown="ignores")
    ims.create_vm("web01")
    with pytest.raises(DeadlineError):
        ims.stop_vm("web01", timeout=0.1)
    assert ims.show_vm("web01").state is State.RUNNING
    ims.stop_vm("web01", force=True)
    assert ims.show_vm("web01").state is State.STOPPED
    ims.stop_vm("web01", timeout=0.1)


def test_a_graceful_stop_sees_that_somebody_else_took_the_power(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    ims = connect(shutdown="ignores")
    ims.create_vm("web01")
    with ThreadPoolExecutor(1) as background:
        waiting = Event()
        stop = ims.session().provider.stop

        def told(vm: str, *, force: bool, timeout: float) -> None:
            waiting.set()
            stop(vm, force=force, timeout=timeout)

        monkeypatch.setattr(ims.session().provider, "stop", told)
        asked = background.submit(ims.stop_vm, "web01", timeout=30)
        assert waiting.wait(10), "the graceful stop has begun"
        ims.stop_vm("web01", force=True)
        asked.result(timeout=10)
    assert ims.show_vm("web01").state is State.STOPPED


def test_a_guest_that_is_slower_than_the_deadline_keeps_running(connect: Connect) -> None:
    connect().create_vm("web01")
    ims = connect(delay=60)
    began = time.monotonic()
    with pytest.raises(DeadlineError):
        ims.stop_vm("web01", timeout=0.1)
    assert time.monotonic() - began < 30, "the deadline did not hold"
    assert ims.show_vm("web01").state is State.RUNNING


def test_each_changing_step_takes_the_delay(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("ims_fake.pace.time.sleep", slept.append)
    connect(delay=7).create_vm("web01", wait="running")
    assert slept.count(7) == len(CREATE_STEPS) - len(("prepare", "inspect"))


def test_of_two_threads_one_gets_the_name(connect: Connect, pool: Path) -> None:
    ims = connect(delay=0.01)

    def attempt(_: int) -> str:
        try:
            return ims.create_vm("web01", wait="ready").uuid
        except ConflictError as error:
            return error.code

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(attempt, range(4)))
    assert results.count("vm-exists") == 3
    (vm,) = ims.list_vms()
    assert vm.uuid in results
    assert len([name for name in contents(pool) if "web01" in name]) == 2, "a volume and a seed"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"fail": ["create.volumes"]}, "fail"),
        ({"receipts": "perfect"}, "receipts"),
        ({"network": "192.0.2.1/24"}, "network"),
        ({"delay": -1}, "delay"),
        ({"colour": "blue"}, "colour"),
        ({"directory": ""}, "directory"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    connect: Connect, settings: dict[str, object], key: str
) -> None:
    with pytest.raises(ConfigError, match=rf"pools\.fake\.{key}"):
        connect(**settings).list_vms()


def test_the_templates_of_the_pool_are_offered(connect: Connect) -> None:
    assert [template.name for template in connect().list_templates()] == [TEMPLATE]


def test_what_check_found_is_told_although_the_vms_cannot_be_seen(connect: Connect) -> None:
    findings = connect(fail=["inspect"]).check()
    assert any(finding.ok for finding in findings)
    assert [each.subject for each in findings if not each.ok] == ["settings", "VMs"]
