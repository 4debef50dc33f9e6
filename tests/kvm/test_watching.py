"""`ims watch` on a real libvirt: domains restarted by virsh, and libvirt's own daemon restarted."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ims_core import Context
from tests.kvm.conftest import BOOT_SECONDS, MEMORY
from tests.labs import LabUnavailableError
from tests.labs.kvm.daemons import restart_libvirtd
from tests.labs.kvm.resources import virsh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kvm.conftest import Lab

pytestmark = pytest.mark.lab_kvm


class Watch:
    """``ims watch`` as its own process, and the lines that it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[dict[str, Any]] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._more:
                self._lines.append(json.loads(line))
                self._more.notify_all()

    def end(self) -> int:
        """End it; returns its exit status."""
        self._process.terminate()
        status = self._process.wait(10)
        self._reader.join()
        return status

    def until(self, what: str, count: int = 1) -> None:
        """Wait for the ``count``-th line of its kind."""
        with self._more:
            there = self._more.wait_for(lambda: self.words().count(what) >= count, BOOT_SECONDS)
            assert there, self._lines

    def words(self) -> list[str]:
        return [line["what"] for line in self._lines]


@contextmanager
def watching() -> Iterator[Watch]:
    command = [sys.executable, "-m", "ims_cli", "watch", "--output", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watch = Watch(process)
        try:
            watch.until("listening")
            yield watch
        finally:
            assert watch.end() == 0


def restarted(name: str) -> None:
    virsh("destroy", name)
    virsh("start", name)


def test_a_vm_that_virsh_restarts_is_told_anew_even_after_libvirtd_was_restarted(lab: Lab) -> None:
    context = Context(properties={"role": "web"})
    lab.ims.create_vm(
        "watched01", memory=MEMORY, context=context, wait="ready", timeout=BOOT_SECONDS
    )
    first = lab.ims.show_vm("watched01").mark
    time.sleep(1.1)  # a start that is heard of so soon after one of IMS's own counts as that
    with watching() as watch:
        restarted("watched01")
        watch.until("answered")
        second = lab.ims.show_vm("watched01")
        try:
            restart_libvirtd()
        except LabUnavailableError as missing:
            pytest.skip(str(missing))
        watch.until("listening", 2)
        restarted("watched01")
        watch.until("answered", 2)
    assert watch.words() == [
        *("listening", "stopped", "started", "told", "answered"),
        *("lost", "listening", "stopped", "started", "told", "answered"),
    ]
    third = lab.ims.show_vm("watched01")
    assert first is not None
    assert second.mark is not None
    assert third.mark is not None
    assert len({first.nonce, second.mark.nonce, third.mark.nonce}) == 3
    assert third.receipt is not None
    assert third.receipt.problem(digest=third.mark.digest, nonce=third.mark.nonce) == ""


def test_a_vm_that_ims_restarts_is_not_told_twice(lab: Lab) -> None:
    with watching() as watch:
        lab.ims.create_vm("watched02", memory=MEMORY, wait="ready", timeout=BOOT_SECONDS)
        watch.until("started")
        lab.ims.reboot_vm("watched02", force=True, wait="ready", timeout=BOOT_SECONDS)
        watch.until("started", 2)
    assert set(watch.words()) == {"listening", "started", "stopped"}
