"""Putting files into the disk of a VM that is off."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ims_core.errors import ConflictError, NotFoundError
from ims_core.models import File
from ims_core.spi import Injection, Suspend
from ims_core.testing.bench import changes, everything
from ims_core.testing.needs import declared, left_out, needs_start

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_files_are_put_beside_those_that_are_there",
    "test_files_put_twice_are_as_put_last",
    "test_no_files_are_put_into_a_running_vm",
    "test_no_files_are_put_into_a_suspended_vm",
    "test_no_files_are_put_into_a_vm_that_is_not_there",
]

SECONDS = 120.0
FILES = (File("/etc/ims-kit-1", b"one\n\0\xff", 0o600), File("/etc/ims-kit-2", b""))


def test_files_are_put_beside_those_that_are_there(ims_target: Target, ims_bench: Bench) -> None:
    """26. inject_files puts files into the root disk of a VM that is off.

    Mend: in `inject_files`, write every file, its bytes as they are, and leave all others alone;
    make and leave nothing else.
    """
    provider, read = _injection(ims_target)
    order = ims_bench.created()
    before = everything(ims_target)
    provider.inject_files(order.uuid, FILES[:1], timeout=SECONDS)
    provider.inject_files(order.uuid, FILES[1:], timeout=SECONDS)
    for file in FILES:
        found = read(order.uuid, file.path)
        assert found == (file.content, file.mode), f"{file.path} is {found!r}"
    assert everything(ims_target) == before, changes(ims_target, before)


def test_files_put_twice_are_as_put_last(ims_target: Target, ims_bench: Bench) -> None:
    """26. Repeated, inject_files comes to the same end.

    Mend: in `inject_files`, replace what has the same path.
    """
    provider, read = _injection(ims_target)
    order = ims_bench.created()
    for content in (b"a longer one", b"last"):
        file = File("/etc/ims-kit-1", content)
        for _ in range(2):
            provider.inject_files(order.uuid, [file], timeout=SECONDS)
    assert read(order.uuid, "/etc/ims-kit-1") == (b"last", 0o644)


def test_no_files_are_put_into_a_running_vm(ims_target: Target, ims_bench: Bench) -> None:
    """26. The VM must be off, else ConflictError (vm-running).

    Mend: in `inject_files`, look at the state first.
    """
    provider = declared(ims_target, Injection)
    needs_start(ims_target)
    order = ims_bench.started()
    with pytest.raises(ConflictError) as caught:
        provider.inject_files(order.uuid, FILES, timeout=SECONDS)
    assert caught.value.code == "vm-running", f"the code is {caught.value.code!r}"


def test_no_files_are_put_into_a_suspended_vm(ims_target: Target, ims_bench: Bench) -> None:
    """26. A suspended VM, which would go on with another disk, is ConflictError (vm-suspended).

    Mend: in `inject_files`, refuse a VM whose memory is saved.
    """
    provider, saver = declared(ims_target, Injection), declared(ims_target, Suspend)
    order = ims_bench.settled()
    saver.suspend(order.uuid)
    with pytest.raises(ConflictError) as caught:
        provider.inject_files(order.uuid, FILES, timeout=SECONDS)
    assert caught.value.code == "vm-suspended", f"the code is {caught.value.code!r}"


def test_no_files_are_put_into_a_vm_that_is_not_there(ims_target: Target) -> None:
    """17. Where a VM must exist and does not, NotFoundError is raised.

    Mend: in `inject_files`, look the VM up first.
    """
    with pytest.raises(NotFoundError):
        declared(ims_target, Injection).inject_files(str(uuid4()), FILES, timeout=SECONDS)


def _injection(target: Target) -> tuple[Injection, Callable[[str, str], tuple[bytes, int]]]:
    """The provider, and how to read a VM's disk; a skip where that is not offered."""
    provider = declared(target, Injection)
    if target.read_disk is None:
        left_out("read_disk")
    return provider, target.read_disk
