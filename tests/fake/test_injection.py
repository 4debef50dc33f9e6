"""Putting files into disks: what the service refuses, records and recovers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ims_core import ConflictError, File, Ims, InvalidError, NotFoundError
from ims_core.store import Outcome
from tests.fake.pools import add_foreign, contents, read_disk
from tests.fake.test_recovery import killed, last

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Connect = Callable[..., Ims]

MOTD = File("/etc/motd", b"hello\n")
KEY = File("/root/key", b"\0secret\xff", mode=0o600, owner="root:root")


def test_files_are_put_into_a_vm_that_is_off(connect: Connect, pool: Path) -> None:
    ims = connect()
    vm = ims.create_vm("web01", wait="defined")
    ims.inject_files("web01", [MOTD, KEY])
    assert read_disk(pool, vm.uuid, "/etc/motd") == (b"hello\n", 0o644)
    assert read_disk(pool, vm.uuid, "/root/key") == (b"\0secret\xff", 0o600)
    operation = ims.list_operations()[-1]
    assert (operation.kind, operation.subject, operation.outcome) == (
        "inject-files",
        "web01",
        Outcome.DONE,
    )
    assert ims.start_vm("web01", wait="ready").state == "running"


def test_one_that_runs_is_refused_and_keeps_its_disk(connect: Connect, pool: Path) -> None:
    ims = connect()
    ims.create_vm("web01")
    before = contents(pool / "volumes")
    with pytest.raises(ConflictError) as caught:
        ims.inject_files("web01", [MOTD])
    assert caught.value.code == "vm-running"
    ims.suspend_vm("web01")
    with pytest.raises(ConflictError) as caught:
        ims.inject_files("web01", [MOTD])
    assert caught.value.code == "vm-suspended"
    assert contents(pool / "volumes") == before


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ([], "files"),
        ([File("etc/motd", b"")], r"files\[0\]"),
        ([MOTD, File("/etc/../x", b"")], r"files\[1\]"),
        ([MOTD, File("/etc/motd", b"other")], "files"),
        ([File("/etc/motd", b"", mode=0o10000)], r"files\[0\]"),
        ([File("/etc/motd", b"", owner="root\n:x")], r"files\[0\]"),
    ],
)
def test_what_cannot_be_a_file_is_refused_before_anything_is_recorded(
    connect: Connect, pool: Path, files: list[File], problem: str
) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    before, recorded = contents(pool), ims.list_operations()
    with pytest.raises(InvalidError, match=f"^{problem}"):
        ims.inject_files("web01", files)
    assert contents(pool) == before
    assert ims.list_operations() == recorded


def test_foreign_vms_and_missing_ones_are_refused(connect: Connect, pool: Path) -> None:
    ims = connect()
    add_foreign(pool, "theirs", "off")
    before = contents(pool)
    for name in ("theirs", "nobody"):
        with pytest.raises((ConflictError, NotFoundError)):
            ims.inject_files(name, [MOTD])
    assert contents(pool) == before


@pytest.mark.parametrize("after", [False, True])
def test_an_injection_that_was_cut_short_is_not_said_to_be_done(
    connect: Connect, pool: Path, after: bool
) -> None:
    ims = connect()
    vm = ims.create_vm("web01", wait="defined")
    verb = "inject_files('web01', [__import__('ims_core').File('/etc/motd', b'hello')])"
    killed(verb, "provider", "inject_files", after=after)
    ims.recover()
    assert last(ims) is Outcome.FAILED
    ims.inject_files("web01", [MOTD])
    assert read_disk(pool, vm.uuid, "/etc/motd") == (b"hello\n", 0o644)
    assert ims.start_vm("web01", wait="ready").state == "running"
