"""Templates that are not what they should be: one clear error, and a repository as it was."""

from __future__ import annotations

import subprocess
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ims_bootparams.media import build
from ims_core.errors import (
    CapacityError,
    ConflictError,
    HypervisorError,
    ImsError,
    InvalidError,
)
from ims_core.models import Carrier
from ims_core.spi import Discarded
from ims_core.undo import Undo
from tests.labs.ovm.server import serving
from tests.ovm.pretended import Client
from tests.ovm.provided import (
    OPERATION,
    SIZE,
    PretendedOvm,
    imported,
    quiet,
    template_of,
)
from tests.xen.pretended import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ims_ovm import OvmProvider
    from tests.labs.ovm.manager import Manager
    from tests.ovm.pretended import PretendedDom0

SEED = "/OVS/seed_pool/x"
DISKS = f"disk = ['file:{SEED}/System.img,xvda,w', 'file:{SEED}/Bootparams.img,xvdb,w'"
CONFIG = f"name = 'packed'\nmemory = '64'\nbootloader = '/usr/bin/pygrub'\n{DISKS}]\n"


@pytest.fixture
def ovm(dom0: PretendedDom0, manager: Manager) -> Iterator[PretendedOvm]:
    with serving(manager) as url:
        yield PretendedOvm(dom0, manager, url)


def packed(folder: Path, **changes: bytes | str | None) -> Path:
    """A template's archive; None leaves a file out, and underscores stand for dots."""
    inside = folder / "packed"
    inside.mkdir(parents=True)
    files: dict[str, bytes | str | None] = {
        "System_img": b"\x55" * SIZE,
        "Bootparams_img": build(Carrier.FAT_DISK, {"README": b"theirs\n"}, "IMS"),
        "vm_cfg": CONFIG,
        **changes,
    }
    for name, content in files.items():
        if content is not None:
            data = content if isinstance(content, bytes) else content.encode()
            (inside / name.replace("_", ".")).write_bytes(data)
    archive = folder / "packed.tgz"
    subprocess.run(["tar", "-C", folder, "-czf", archive, "packed"], check=True)
    return archive


def bring(provider: OvmProvider, archive: Path, undo: Undo, **changes: Any) -> None:
    template = template_of(archive, "packed", **changes)
    provider.import_template({"image": archive}, template, undo, quiet)


def refused(ovm: PretendedOvm, archive: Path, *words: str) -> ImsError:
    """Refused before anything was announced; the error holds these words."""
    before, undo = ovm.leftovers(), Undo(OPERATION)
    ovm.manager.requests.clear()
    with pytest.raises(ImsError) as caught:
        bring(ovm.provider(), archive, undo)
    assert undo.announced == []
    assert ovm.leftovers() == before
    assert "importTemplate" not in [name for name, _ in ovm.manager.requests.all()]
    for word in words:
        assert word in f"{caught.value.message} {caught.value.hint}"
    return caught.value


def given_up(ovm: PretendedOvm, undo: Undo, before: set[str]) -> None:
    """Everything is discarded, and nothing is left."""
    assert undo.roll_back(ovm.provider(), expired=lambda: False).all == ()
    assert ovm.leftovers() == before


# --- vm.cfg ---

CODE = {
    "import": "import os",
    "call": "name = open('/etc/passwd').read()",
    "statement": "os.system('touch /tmp/ran')",
    "backticks": "name = `id`",
    "formatted": "name = f'{1}'",
    "concatenated": "name = 'a' + 'b'",
    "percent": "name = '%s' % 1",
    "name": "memory = maxmem",
    "indented": "if 1:\n    memory = 64",
    "dictionary": "name = {'a': 1}",
    "decorated": "@x\ndef y(): pass",
}


@pytest.mark.parametrize("code", CODE)
def test_code_in_a_vm_cfg_is_refused_and_its_line_is_named(
    ovm: PretendedOvm, tmp_path: Path, code: str
) -> None:
    refused(ovm, packed(tmp_path / "a", vm_cfg=f"{CONFIG}{CODE[code]}\n"), "vm.cfg, line 5")


STRANGE_DISKS = {
    "phy:/dev/sda,xvdc,w": "/dev/sda",
    "file:/etc/passwd,xvdc,r": "/etc/passwd",
    "file:/OVS/seed_pool/x/Other.img,xvdc,w": "Other.img",
    "file:System.img,xvdc,w": "System.img",
    "file:/OVS/seed_pool/x/../../etc/shadow,xvdc,w": "shadow",
    "format=raw,vdev=xvdc,access=rw,target=/etc/System.img": "/etc/System.img",
    "format=raw,vdev=xvdc,target=System.img": "System.img",
    "tap:aio:/etc/shadow,xvdc,w": "shadow",
    "file:/x/System.img,xvdc,w,target=/etc/shadow": "target",
    "file:/etc/passwd,hdc:cdrom,r": "/etc/passwd",
    "iscsi:iqn.2000-01.example:disk,xvdc,w": "iscsi",
}


@pytest.mark.parametrize("disk", STRANGE_DISKS)
def test_no_vm_is_handed_a_disk_that_is_not_in_the_archive(
    ovm: PretendedOvm, tmp_path: Path, disk: str
) -> None:
    config = f"{CONFIG.replace(DISKS, f'{DISKS}, {disk!r}')}"
    refused(ovm, packed(tmp_path / "a", vm_cfg=config), "disk", STRANGE_DISKS[disk])


STRANGE = {
    "kernel": "'/boot/vmlinuz'",
    "ramdisk": "'../../../boot/initrd'",
    "bootloader": "'/usr/bin/pygrub/../python'",
    "device_model": "'/OVS/seed_pool/packed/System.img'",
    "bootargs": "'--output=/etc/cron.d'",
    "fda": "'/etc/shadow'",
    "serial": "'file:passwd'",
    "vif": "['bridge=xenbr0,script=/tmp/run']",
    "usbdevice": "'host:1234:5678'",
    "pci": "['00:1f.2']",
    "vscsi": "['sda,0:0:0:0']",
    "firmware": "['a', ['b', ['/etc/shadow']]]",
}


@pytest.mark.parametrize("key", STRANGE)
def test_nothing_else_of_the_dom0_is_handed_to_a_vm(
    ovm: PretendedOvm, tmp_path: Path, key: str
) -> None:
    archive = packed(tmp_path / "a", vm_cfg=f"{CONFIG}{key} = {STRANGE[key]}\n")
    refused(ovm, archive, "vm.cfg", key)


def test_what_templates_of_oracle_s_have_is_taken(ovm: PretendedOvm, tmp_path: Path) -> None:
    config = f"""{CONFIG}kernel = '/OVS/seed_pool/x/vmlinuz'
device_model = '/usr/lib/xen/bin/qemu-dm'
vfb = ['type=vnc,vncunused=1,vnclisten=0.0.0.0,vncpasswd=secret,keymap=en-us']
vif = ['mac=00:16:3E:00:00:01,bridge=xenbr0,type=netfront']
extra = 'root=/dev/xvda1 ro'
root = '/dev/xvda1 ro'
serial = 'pty'
usbdevice = 'tablet'
OVM_OS = 'Oracle Enterprise Linux 5'
OVM_URL = 'http://example.org/x'
on_crash = 'restart'
apic = 1
"""
    template = imported(
        ovm.provider(), packed(tmp_path / "a", vm_cfg=config, vmlinuz=b"kernel"), "packed"
    )
    (found,) = ovm.provider().list_templates()
    assert found == template
    written = (ovm.dom0.ovs / "seed_pool/packed/vm.cfg").read_text()
    assert f"kernel = '{ovm.dom0.ovs}/seed_pool/packed/vmlinuz'" in written


def test_a_vm_cfg_that_is_no_text_or_no_template_is_refused(
    ovm: PretendedOvm, tmp_path: Path
) -> None:
    refused(ovm, packed(tmp_path / "a", vm_cfg=b"\xff\xfe"), "vm.cfg", "no text")
    refused(ovm, packed(tmp_path / "b", vm_cfg="name = 'x'\n"), "vm.cfg", "no disk")
    refused(ovm, packed(tmp_path / "c", vm_cfg=f"{CONFIG}OVM_OS = 'ä'\n"), "OVM_OS", "ASCII")
    refused(ovm, packed(tmp_path / "d", vm_cfg=None), "vm.cfg")
    refused(ovm, packed(tmp_path / "e", vm_cfg=b"#" * (1 << 20) + b"\n\n"), "vm.cfg")


# --- Bootparams.img ---


def test_a_disk_to_which_nothing_can_be_told_is_refused(ovm: PretendedOvm, tmp_path: Path) -> None:
    error = refused(ovm, packed(tmp_path / "a", Bootparams_img=None), "Bootparams.img")
    assert error.code == "no-bootparams"
    noise = packed(tmp_path / "b", Bootparams_img=b"\x55" * SIZE)
    error = refused(ovm, noise, "neither FAT nor ext2", "mount")
    assert error.code == "image-not-replaceable"
    large = packed(tmp_path / "c", Bootparams_img=bytes((64 << 20) + 512))
    assert refused(ovm, large, "Bootparams.img").code == "image-too-large"


# --- a template of that name ---


def test_ours_with_another_digest_is_not_replaced(ovm: PretendedOvm, tmp_path: Path) -> None:
    first = imported(ovm.provider(), packed(tmp_path / "a"), "packed")
    other = packed(tmp_path / "b", System_img=b"\x66" * SIZE)
    assert refused(ovm, other, "packed").code == "template-exists"
    assert ovm.provider().list_templates() == [first]


def test_a_folder_of_somebody_else_s_is_not_replaced(ovm: PretendedOvm, tmp_path: Path) -> None:
    folder = ovm.dom0.seed(ovm.dom0.ovs / "seed_pool/packed", "packed")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert refused(ovm, packed(tmp_path / "a"), "seed_pool").code == "template-exists"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_only_the_manager_knows_is_not_replaced(ovm: PretendedOvm, tmp_path: Path) -> None:
    store = ovm.manager.store
    store.add_template(store.pools()[0], "packed", "Active")
    assert refused(ovm, packed(tmp_path / "a"), "Manager").code == "template-exists"


def test_of_two_imports_of_one_name_one_wins(ovm: PretendedOvm, tmp_path: Path) -> None:
    archive, before = packed(tmp_path / "a"), ovm.leftovers()
    other = "fedcba9876543210"

    class Quicker(Undo):
        def announce(self, kind: str, name: str) -> None:
            super().announce(kind, name)
            if kind == "folder":
                undo = Undo(other)
                with pytest.raises(ConflictError) as caught:
                    bring(ovm.provider(), archive, undo, operation=other)
                assert caught.value.code == "template-exists"
                assert undo.announced == []

    undo = Quicker(OPERATION)
    bring(ovm.provider(), archive, undo)
    assert [each.operation for each in ovm.provider().list_templates()] == [OPERATION]
    given_up(ovm, undo, before)


# --- on its way ---


def test_an_archive_that_changes_while_it_is_sent_is_not_unpacked(
    ovm: PretendedOvm, tmp_path: Path
) -> None:
    archive, before = packed(tmp_path / "a"), ovm.leftovers()

    class Changing(Undo):
        def announce(self, kind: str, name: str) -> None:
            super().announce(kind, name)
            if kind == "folder":
                data = bytearray(archive.read_bytes())
                data[len(data) // 2] ^= 1
                archive.write_bytes(data)

    undo = Changing(OPERATION)
    with pytest.raises(HypervisorError, match="did not arrive whole"):
        bring(ovm.provider(), archive, undo)
    assert not list(ovm.dom0.ovs.glob("seed_pool/packed"))
    given_up(ovm, undo, before)


@pytest.mark.parametrize("program", ["cp", "tar"])
def test_a_full_repository_is_told_and_nothing_stays(
    ovm: PretendedOvm, tmp_path: Path, program: str
) -> None:
    ovm.dom0.xen.install(
        ovm.dom0.xen.xen / "bin" / program,
        f"#!/bin/sh\ncase $* in *--sparse*|*-xzf*) {program} --version >/dev/null\n"
        f'echo "{program}: System.img: No space left on device" >&2; exit 2 ;; esac\n'
        f'exec /usr/bin/{program} "$@"\n',
    )
    before, undo = ovm.leftovers(), Undo(OPERATION)
    with pytest.raises(CapacityError) as caught:
        bring(ovm.provider(), packed(tmp_path / "a"), undo)
    assert caught.value.code == "pool-full"
    given_up(ovm, undo, before)


# --- fetched by the Manager ---


def fitting(ovm: PretendedOvm, folder: Path) -> Path:
    """An archive whose vm.cfg the simulated Manager can follow: it names its own seed_pool."""
    return packed(folder, vm_cfg=CONFIG.replace("/OVS", str(ovm.dom0.ovs)))


@contextmanager
def offered(folder: Path) -> Iterator[str]:
    """Serve a folder by HTTP."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("suffix", [".tgz", ".tar.gz", ""])
def test_a_template_is_fetched_by_the_manager(
    ovm: PretendedOvm, tmp_path: Path, suffix: str
) -> None:
    archive, before, undo = fitting(ovm, tmp_path / "a"), ovm.leftovers(), Undo(OPERATION)
    with offered(tmp_path / "a") as url:
        provider = ovm.provider(import_by="manager")
        bring(provider, archive, undo, source=f"{url}/packed{suffix}")
    (template,) = provider.list_templates()
    assert template.operation == OPERATION
    assert Client(ovm.url).templates() == {"packed": "Active"}
    disk = ovm.dom0.ovs / "seed_pool/packed/System.img"
    assert disk.read_bytes() == b"\x55" * SIZE
    assert not list(ovm.dom0.ovs.glob("ims/fetching/*")) + list(ovm.dom0.ovs.glob("ims/import*/*"))
    provider.delete_template("packed")
    assert ovm.leftovers() == before
    given_up(ovm, undo, before)


# Its cause, and what the error says of it.
SPOILT: dict[tuple[str, str], Callable[[Path], object]] = {
    ("another disk", "System.img is not the same as in the archive"): lambda folder: (
        folder / "System.img"
    ).write_bytes(b"\x66" * SIZE),
    ("no disk", "could not import"): lambda folder: (folder / "Bootparams.img").unlink(),
    ("no folder", "could not import"): lambda folder: folder.rename(folder.parent / "elsewhere"),
    (
        "a vm.cfg without a disk",
        "Bootparams.img is not the same as in the archive",
    ): lambda folder: (folder / "vm.cfg").write_text(
        (folder / "vm.cfg").read_text().partition(", 'file:")[0] + "]\n"
    ),
    ("a vm.cfg with code", "could not import"): lambda folder: (folder / "vm.cfg").write_text(
        "import os\n"
    ),
}


@pytest.mark.parametrize("spoilt", SPOILT, ids=lambda spoilt: spoilt[0])
def test_what_the_manager_fetched_and_is_not_the_archive_is_removed(
    ovm: PretendedOvm, tmp_path: Path, spoilt: tuple[str, str]
) -> None:
    archive, before, undo = fitting(ovm, tmp_path / "a"), ovm.leftovers(), Undo(OPERATION)
    SPOILT[spoilt](tmp_path / "a/packed")
    provider = ovm.provider(import_by="manager")
    with offered(tmp_path / "a") as url, pytest.raises(ImsError, match=spoilt[1]):
        bring(provider, archive, undo, source=f"{url}/packed.tgz")
    assert ovm.provider().list_templates() == []
    given_up(ovm, undo, before)


def test_what_the_manager_cannot_reach_leaves_nothing(ovm: PretendedOvm, tmp_path: Path) -> None:
    archive, before, undo = fitting(ovm, tmp_path / "a"), ovm.leftovers(), Undo(OPERATION)
    with offered(tmp_path / "a") as url:
        pass
    provider = ovm.provider(import_by="manager")
    with pytest.raises(HypervisorError):
        bring(provider, archive, undo, source=f"{url}/packed.tgz")
    given_up(ovm, undo, before)


@pytest.mark.parametrize("source", ["", "/tmp/packed.tgz", "ftp://example.org/packed.tgz"])
def test_the_manager_needs_a_url(ovm: PretendedOvm, tmp_path: Path, source: str) -> None:
    before, undo = ovm.leftovers(), Undo(OPERATION)
    with pytest.raises(InvalidError, match="URL"):
        bring(ovm.provider(import_by="manager"), fitting(ovm, tmp_path / "a"), undo, source=source)
    assert undo.announced == []
    assert ovm.leftovers() == before


def test_a_template_that_somebody_had_the_manager_fetch_first_stays(
    ovm: PretendedOvm, tmp_path: Path
) -> None:
    archive, undo, client = fitting(ovm, tmp_path / "a"), Undo(OPERATION), Client(ovm.url)
    hooks = ovm.manager.hooks

    def quicker() -> None:
        hooks.at("before", "importTemplateFromURL", None)
        ovm.dom0.seed(ovm.dom0.ovs / "seed_pool/packed", "packed")
        client.importTemplate("pool", "packed")
        wait_for(lambda: client.templates() == {"packed": "Pending Approval"})

    client.templates()
    hooks.at("before", "importTemplateFromURL", quicker)
    provider = ovm.provider(import_by="manager")
    with offered(tmp_path / "a") as url, pytest.raises(HypervisorError):
        bring(provider, archive, undo, source=f"{url}/packed.tgz")
    (announced,) = undo.announced
    assert ovm.provider().discard(announced) is Discarded.NOT_OURS
    assert ovm.provider().discard(replace(announced, operation="")) is Discarded.NOT_OURS
    assert client.templates() == {"packed": "Pending Approval"}
    assert (ovm.dom0.ovs / "seed_pool/packed/vmlinuz").exists()
