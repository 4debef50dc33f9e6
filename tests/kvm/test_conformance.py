"""The kvm provider passes the suite that every provider must, on a real libvirt."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ims_core.models import Interface, State
from ims_core.testing import Target
from ims_core.testing.suite import *  # noqa: F403 - the suite's one import line
from ims_kvm import KvmProvider
from tests.kvm.conftest import BOOT_SECONDS, MEMORY, all_of
from tests.kvm.requests import libvirt_calls
from tests.labs.kvm import daemons
from tests.labs.kvm.resources import virsh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.labs.kvm import KvmLab

pytestmark = pytest.mark.lab_kvm

FOREIGN = """
<domain type='{kind}'><name>{name}</name><memory unit='MiB'>64</memory>
<os><type arch='x86_64'>hvm</type></os></domain>
"""


@pytest.fixture
def ims_target(kvm_lab: KvmLab, template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    settings = KvmProvider.settings()(
        uri=kvm_lab.uri, storage_pool=kvm_lab.pool, network=kvm_lab.network
    ).model_dump()

    def make_foreign(name: str) -> Callable[[], object]:
        virsh("define", "/dev/stdin", xml=FOREIGN.format(kind=kvm_lab.domain_type, name=name))
        return lambda: name in virsh("list", "--all", "--name") and virsh("undefine", name)

    def break_vm(uuid: str) -> Callable[[], object]:
        disk = next(
            word
            for word in virsh("domblklist", uuid).split()
            if word.startswith("/") and word.endswith(".qcow2")
        )
        kvm_lab.pool_path.joinpath(disk).unlink()
        return lambda: None

    def copy_vm(uuid: str) -> Callable[[], object]:
        copy = str(uuid4())
        xml = virsh("dumpxml", uuid).replace("<name>", "<name>copy-of-")
        xml = xml.replace(f"<uuid>{uuid}<", f"<uuid>{copy}<").replace("='52:54:", "='52:56:")
        virsh("define", "/dev/stdin", xml=xml)
        return lambda: virsh("undefine", copy)

    @contextmanager
    def freeze() -> Iterator[None]:
        pids = [each.pid for each in daemons.started() if each.program == "libvirtd"]
        os.kill(pids[0], signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pids[0], signal.SIGCONT)

    def read_media(uuid: str) -> list[bytes]:
        rows = [line.split() for line in virsh("domblklist", uuid, "--details").splitlines()]
        media = {row[2]: row[3] for row in rows if row[1:2] == ["cdrom"]}
        return [Path(media[drive]).read_bytes() for drive in sorted(media)]

    requests = libvirt_calls(monkeypatch)
    libvirt_version = virsh("--version").strip()
    with KvmProvider.open(settings) as provider:
        (found,) = (each for each in provider.list_templates() if each.name == template)
        yield Target(
            provider=provider,
            template=found,
            interfaces=(Interface(network=kvm_lab.network),),
            memory=MEMORY,
            settings=settings,
            unreachable=settings | {"uri": "qemu+unix:///system?socket=/dev/null"},
            static_address="192.168.177.60",
            boots=True,
            boot_timeout=BOOT_SECONDS,
            make_foreign=make_foreign,
            break_vm=break_vm,
            copy_vm=copy_vm,
            by_others={
                State.STOPPED: lambda uuid: virsh("destroy", uuid),
                State.PAUSED: lambda uuid: virsh("suspend", uuid),
            },
            lab=f"libvirt {libvirt_version}, domains of type {kvm_lab.domain_type}, real guests",
            requests=lambda: len(requests),
            evidence_at_once=False,
            freeze=freeze if daemons.started() else None,
            read_media=read_media,
            leftovers=lambda: all_of(kvm_lab),
        )
