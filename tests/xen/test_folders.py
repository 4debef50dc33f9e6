"""Folders of VMs as others left them, and the vm.cfg that IMS writes into its own."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ims_core.models import Carrier, State
from ims_xen.config import vm_config
from tests.conftest import unavailable
from tests.dom0.libxlu import Libxlu
from tests.labs import LabError
from tests.xen.pretended import PretendedShell, PretendedXen, mark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ims_shell.shell import Answer

KEYS = ("name", "uuid", "type", "memory", "vcpus", "disk", "vif", "kernel", "ramdisk", "cmdline")


@pytest.fixture
def xen(tmp_path: Path) -> Iterator[PretendedXen]:
    dom0 = PretendedXen(tmp_path)
    dom0.without_store()
    yield dom0
    dom0.check()


@pytest.fixture(scope="session")
def libxlu() -> Libxlu:
    try:
        return Libxlu()
    except LabError as error:
        unavailable("xl's library", error)


def test_a_copy_of_a_folder_takes_nothing_from_the_original(xen: PretendedXen) -> None:
    spec = xen.started("web")
    shutil.copytree(xen.vm("web"), xen.vm("a-copy"))
    found = {vm.name: vm for vm in xen.provider.inspect()}
    assert (found["web"].state, found["web"].problem) == (State.RUNNING, "")
    assert (found["a-copy"].mark, found["a-copy"].uuid) == (None, "")
    assert found["a-copy"].problem
    xen.provider.write_mark(spec.uuid, mark(spec, complete=True))
    xen.provider.delete(spec.uuid)
    assert (xen.vm("a-copy") / "root.raw").exists()


@pytest.mark.parametrize("file", ["mark.json", "vm.cfg", "cards.json"])
@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"\xff\xfe\0", b"[" * 100_000, b"9" * 5000, b"import os\nos.abort()\n"),
        *(b"disk = " + b"[" * 20_000, b'{"name": 1}', b"uuid = ['x']\nmemory = 9\nvif = 7\n"),
    ],
    ids=str,
)
def test_a_damaged_file_spoils_no_answer(xen: PretendedXen, file: str, content: bytes) -> None:
    sound, broken = xen.created("sound"), xen.created("broken")
    (xen.vm("broken") / file).write_bytes(content)
    found = {vm.name: vm for vm in xen.provider.inspect(evidence=True)}
    assert (found["sound"].uuid, found["sound"].problem) == (sound.uuid, "")
    assert found["broken"].state is State.DEFINED
    if file != "cards.json" and not content.startswith(b"uuid"):  # that one can be read
        assert found["broken"].problem
    if file != "mark.json":
        xen.provider.delete(broken.uuid)
        assert not xen.vm("broken").exists()


@pytest.mark.parametrize("boot", ["pv", "pvh", "hvm"])
@pytest.mark.parametrize("carrier", [Carrier.XENSTORE, Carrier.ISO, Carrier.FAT_DISK])
@pytest.mark.parametrize("kernel", [False, True])
def test_xl_reads_the_vm_cfg_as_it_is_meant(
    xen: PretendedXen, libxlu: Libxlu, boot: str, carrier: Carrier, *, kernel: bool
) -> None:
    spec = xen.spec("a.b-1", memory=(64 << 20) + 1, vcpus=3)
    digest = "sha256:" + "0" * 64 if kernel else ""
    line = "root=/dev/xvda ro quiet='x y' \"z\""
    template = replace(spec.template, boot=boot, kernel=digest, ramdisk=digest, cmdline=line)
    text = vm_config(replace(spec, template=template), carrier, "/var/lib/ims")
    values = libxlu.read(text, KEYS if kernel else KEYS[:7])
    assert (values["name"], values["uuid"], values["type"]) == (spec.name, spec.uuid, boot)
    assert (values["memory"], values["vcpus"]) == ("65", "3")
    assert values["vif"] == ("mac=00:16:3e:00:00:01,bridge=xenbr0",)
    if kernel:
        assert values["kernel"] == "/var/lib/ims/templates/tiny/kernel"
        assert values["cmdline"] == line
    root, *more = (libxlu.disk(each) for each in values["disk"])
    assert (root.target, root.vdev) == ("/var/lib/ims/vms/a.b-1/root.raw", "xvda")
    assert root.writable
    assert len(more) == carrier.is_medium
    for medium in more:
        assert medium.target == "/var/lib/ims/vms/a.b-1/seed.img"
        assert not medium.writable
        assert medium.cdrom is (boot == "hvm" and carrier is Carrier.ISO)


def test_a_mark_names_its_folder(xen: PretendedXen) -> None:
    spec = xen.created()
    assert json.loads((xen.vm() / "mark.json").read_text())["name"] == spec.name


def test_a_look_is_one_script_however_many_there_are(
    xen: PretendedXen, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts, run = [], PretendedShell.run

    def counted(self: PretendedShell, script: str, *arguments: str, **options: Any) -> Answer:
        scripts.append(script)
        return run(self, script, *arguments, **options)

    xen.started("one")
    for number in range(4):
        xen.created(f"idle-{number}")
        xen.started(f"busy-{number}")
    monkeypatch.setattr(PretendedShell, "run", counted)
    assert len(xen.provider.inspect(evidence=True)) == 9
    assert len(scripts) == 1
    assert len(xen.provider.metrics()) == 5
    assert len(scripts) == 2
