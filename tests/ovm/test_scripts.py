"""The scripts for the dom0: what they do with disks that a guest has written, above all."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from signal import SIG_IGN, Signals, getsignal
from typing import TYPE_CHECKING

import pytest

from ims_bootparams.digest import listed
from ims_bootparams.media import build
from ims_core.errors import ConflictError, HypervisorError, ImsError
from ims_core.models import Carrier, State
from ims_ovm import looking
from ims_ovm.scripts import script
from ims_shell.archive import pack
from tests.ovm.provided import delivery_of
from tests.ovm.world import World
from tests.shellcheck import shellcheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CALLED = re.compile(r'dom0\.(?:call|ask|send|attach)\(\s*"([a-z_]+)"')
README = b"nobody's business\n"
FIRST = {
    "bootparams.conf": b"A=1\n",
    "files/0000": b"first",
    "openstack/latest/meta_data.json": b"{}",
    "gone": b"",
}
SECOND = {"bootparams.conf": b"A=2\nB=3\n", "files/0001": bytes(range(256)) * 40}


def package(name: str) -> Path:
    return Path(str(files(name)))


def called() -> set[str]:
    """Every script that the provider's own code names."""
    sources = package("ims_ovm").rglob("*.py")
    return {name for path in sources for name in CALLED.findall(path.read_text())}


# --- all of them ---


def test_every_script_is_called_and_every_call_has_its_script() -> None:
    own = {path.stem for path in package("ims_ovm.scripts").glob("*.sh")} - {"prelude"}
    assert own <= called()
    places = [package(f"{each}.scripts") for each in ("ims_shell", "ims_dom0")]
    shared = {path.stem for place in places for path in place.glob("*.sh")}
    assert called() <= own | shared


@pytest.mark.parametrize("name", sorted(called()))
def test_a_script_is_clean_to_shellcheck(name: str) -> None:
    # SC2034, SC2120: parts of the prelude that this script does not use; SC2154: in a trap.
    assert shellcheck(script(name), "SC2034,SC2120,SC2154") == ""


def test_no_script_uses_what_came_after_oracle_vm_2() -> None:
    for name in sorted(called()):
        text = script(name)
        for young in ("unshare", "findmnt", "lsblk", "mountpoint ", "nsenter", "losetup --", "[[ "):
            assert young not in text, f"{name}: {young}"


# --- a disk that is mounted ---


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.end()


@pytest.fixture
def world(built: World) -> Iterator[World]:
    """A VM that is off; whatever a test does, nothing may be mounted in the end."""
    built.restore("defined")
    yield built
    left = mounted(built)
    for line in left:
        subprocess.run(["umount", line.split()[1]], check=True)
    assert left == []
    assert loops(built) == [], "a loop device is left"


@pytest.fixture
def mounting(world: World, tmp_path: Path) -> World:
    """The same, where images can be mounted."""
    image, at = tmp_path / "probe", tmp_path / "at"
    at.mkdir()
    ext2(image, tmp_path / "nothing", {})
    if os.geteuid() or subprocess.run(["mount", "-o", "loop", image, at], check=False).returncode:
        pytest.skip("needs root and loop devices")
    subprocess.run(["umount", at], check=True)
    ext2(disk(world), tmp_path / "readme", {"README": README})
    return world


def loops(world: World) -> list[str]:
    """The files of this test that loop devices of this machine have; others may have theirs."""
    paths = Path("/sys/block").glob("loop*/loop/backing_file")
    found = (path.read_text() for path in paths if path.exists())
    return sorted(each for each in found if str(world.folder) in each)


def mounted(world: World) -> list[str]:
    lines = Path("/proc/mounts").read_text().splitlines()
    return [line for line in lines if str(world.folder) in line]


def ext2(image: Path, tree: Path, content: Mapping[str, bytes]) -> None:
    """An ext2 image of that tree, with these files besides."""
    for name, data in content.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    tree.mkdir(exist_ok=True)
    image.unlink(missing_ok=True)
    command: list[str | Path] = [
        "mke2fs",
        "-q",
        "-F",
        "-t",
        "ext2",
        "-b",
        "1024",
        "-L",
        "IMS",
        "-d",
        tree,
        image,
    ]
    subprocess.run([*command, "1024"], check=True, capture_output=True)


def content_of(image: Path, to: Path) -> dict[str, bytes]:
    """Every file of an image, as neither our code nor the kernel reads it."""
    to.mkdir()
    if image.read_bytes()[1080:1082] == b"\x53\xef":
        command: list[str | Path] = ["debugfs", "-R", f"rdump / {to}", image]
    else:
        command = ["mcopy", "-s", "-n", "-i", image, "::*", to]
    subprocess.run(command, check=True, capture_output=True)
    return {
        str(path.relative_to(to)): path.read_bytes()
        for path in sorted(to.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def disk(world: World) -> Path:
    (image,) = world.dom0.ovs.glob("running_pool/*_web/Bootparams.img")
    return image


def deliver(world: World, content: Mapping[str, bytes], strategy: str, nonce: str = "9") -> None:
    provider = world.provider(bootparams=strategy)
    found = looking.find(provider._manager, provider._dom0, world.spec.uuid)
    delivery = delivery_of(nonce)
    delivery = type(delivery)(
        *(delivery.layout, delivery.carrier, delivery.digest, nonce), files=listed(content, nonce)
    )
    provider._maker.deliver(found.record, found.there, delivery)


def is_tidy(world: World) -> bool:
    folder = disk(world).parent
    return not mounted(world) and {path.name for path in folder.iterdir()} == {
        *("vm.cfg", "System.img", "Bootparams.img", "ims")
    }


@pytest.mark.parametrize("kind", ["fat", "ext2"])
def test_mounted_or_replaced_the_guest_finds_the_same(
    mounting: World, tmp_path: Path, kind: str
) -> None:
    if kind == "fat" and "\tvfat\n" not in Path("/proc/filesystems").read_text():
        pytest.skip("this machine's kernel has no vfat")
    found: dict[str, list[dict[str, bytes]]] = {}
    for strategy in ("mount", "replace"):
        image = disk(mounting)
        if kind == "fat":
            image.write_bytes(build(Carrier.FAT_DISK, {"README": README}, "IMS"))
        else:
            ext2(image, tmp_path / f"tree-{strategy}", {"README": README})
        found[strategy] = []
        for number, content in enumerate((FIRST, SECOND)):
            deliver(mounting, content, strategy, str(number))
            assert is_tidy(mounting)
            told = content_of(image, tmp_path / f"{strategy}-{number}")
            assert told == {"README": README, **listed(content, str(number))}
            found[strategy].append(told)
        # No folder of the first is left, either.
        folders = {path.name for path in (tmp_path / f"{strategy}-1").iterdir() if path.is_dir()}
        assert folders - {"lost+found"} == {"files"}
    assert found["mount"] == found["replace"]


HOSTILE: dict[str, Callable[[Path, Path], object]] = {
    "a folder that is a link": lambda tree, victim: (tree / "files").symlink_to(victim),
    "a folder that is a relative link": lambda tree, _: (tree / "files").symlink_to("../.."),
    "a folder that is a file": lambda tree, _: (tree / "files").write_text("x"),
    "a file that is a link": lambda tree, victim: (tree / "bootparams.conf").symlink_to(
        victim / "secret"
    ),
    "a file that is a folder": lambda tree, _: (tree / "bootparams.conf/x").mkdir(parents=True),
    "a list that is a link": lambda tree, victim: (tree / "ims.files").symlink_to(victim / "list"),
    "a list that is a folder": lambda tree, _: (tree / "ims.files").mkdir(),
    "a list of others' files": lambda tree, victim: (tree / "ims.files").write_text(
        f"../../victim\n../vm.cfg\nfiles/../../vm.cfg\n{victim}/secret\n/vm.cfg\n.\n..\n./\n\n//\n"
        "-rf\n*\n$(touch ran)\n`touch ran`\nREADME/..\nlink/secret\nlink/sub/secret\nlink\n"
        "files/./../../vm.cfg\nfiles\n"
    ),
    "a list of deep links": lambda tree, _: (tree / "ims.files").write_text(
        "deep/link/secret\ndeep/link/sub/secret\n"
    ),
    "a list without an end": lambda tree, _: (tree / "ims.files").write_bytes(b"\0" * 200000),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_guest_wrote_leads_nowhere(mounting: World, tmp_path: Path, hostile: str) -> None:
    victim = tmp_path / "victim"
    (victim / "sub").mkdir(parents=True)
    for name in ("secret", "sub/secret", "0001", "list"):
        (victim / name).write_text("README\nsecret\n")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(victim)
    (tree / "deep").mkdir()
    (tree / "deep/link").symlink_to(victim)
    HOSTILE[hostile](tree, victim)
    ext2(disk(mounting), tree, {"README": README})

    def outside() -> dict[str, bytes]:
        roots = (victim, mounting.dom0.ovs, mounting.dom0.xen.xen)
        paths = (path for root in roots for path in root.rglob("*"))
        mine = {disk(mounting), disk(mounting).parent / "ims/vm.json"}
        mine |= {mounting.dom0.xen.xen / "calls"}
        return {str(p): p.read_bytes() for p in paths if p.is_file() and p not in mine}

    before = outside()
    deliver(mounting, SECOND, "mount")
    assert outside() == before
    assert is_tidy(mounting)
    told = content_of(disk(mounting), tmp_path / "told")
    wanted = listed(SECOND, "9")
    assert {name: told.get(name) for name in wanted} == wanted
    assert told.get("README") in (README, None if "README" in hostile else README)


def test_a_running_guest_s_disk_is_not_mounted(mounting: World, tmp_path: Path) -> None:
    mounting.restore("running")
    ext2(disk(mounting), tmp_path / "tree", {"README": README})
    before = disk(mounting).read_bytes()
    for strategy in ("mount", "replace"):
        with pytest.raises(ConflictError) as caught:
            deliver(mounting, SECOND, strategy)
        assert caught.value.code == "vm-running"
    assert disk(mounting).read_bytes() == before
    assert [vm.state for vm in mounting.provider().inspect(["web"])] == [State.RUNNING]


def test_what_is_no_file_system_is_not_mounted_and_the_error_says_so(mounting: World) -> None:
    disk(mounting).write_bytes(b"\x55" * 65536)
    with pytest.raises(HypervisorError) as caught:
        deliver(mounting, SECOND, "mount")
    assert caught.value.code == "not-mountable"
    assert is_tidy(mounting)


@contextmanager
def killed_by(world: World, signal: str) -> Iterator[None]:
    """The script and all that it began get a signal while a file is put onto the disk."""
    cat = world.dom0.xen.xen / "bin/cat"
    kill = f"case ${{1-}} in */.mounted/*|*/.files/*) kill -{signal} 0; sleep 0.2 ;; esac"
    world.dom0.xen.install(cat, f'#!/bin/sh\n{kill}\nexec /bin/cat "$@"\n')
    with pytest.raises(ImsError):
        yield
    cat.unlink()


@pytest.mark.parametrize("signal", ["TERM", "HUP", "INT"])
def test_a_mount_that_is_ended_leaves_nothing_mounted(mounting: World, signal: str) -> None:
    if getsignal(Signals[f"SIG{signal}"]) is SIG_IGN:
        pytest.skip("the tests were started with that signal ignored, and so are the scripts")
    with killed_by(mounting, signal):
        deliver(mounting, SECOND, "mount")
    assert is_tidy(mounting)


@pytest.mark.parametrize("then", ["mount", "replace", "start", "delete", "linked"])
def test_what_a_killed_mount_left_is_undone_by_whatever_comes_next(
    mounting: World, tmp_path: Path, then: str
) -> None:
    with killed_by(mounting, "KILL"):
        deliver(mounting, SECOND, "mount")
    assert mounted(mounting), "it was killed too early"
    provider = mounting.provider()
    if then == "start":
        provider.start(mounting.spec.uuid, None)
        assert mounted(mounting) == [], "the guest runs, and its disk is not in use"
    elif then == "delete":
        mounting.unmade()
    elif then == "linked":  # as /OVS is one
        link = tmp_path / "OVS"
        link.symlink_to(mounting.dom0.ovs)
        arguments = (mounting.spec.uuid, "no domain", "Bootparams.img")
        provider._dom0.shell.run(
            script("mount"), str(link), *arguments, stdin=pack(SECOND), timeout=20
        )
        assert is_tidy(mounting)
    else:
        deliver(mounting, SECOND, then)
        assert is_tidy(mounting)
        assert content_of(disk(mounting), tmp_path / "told")["files/0001"] == SECOND["files/0001"]


def test_an_archive_that_was_cut_short_changes_nothing(mounting: World) -> None:
    before = {
        path: path.read_bytes() for path in disk(mounting).parent.rglob("*") if path.is_file()
    }
    provider = mounting.provider()
    found = looking.find(provider._manager, provider._dom0, mounting.spec.uuid)
    whole = pack({"vm.cfg": b"x" * 600, "vm.json": b"{}"})
    for name, more in (("put", ()), ("mount", ("Bootparams.img",))):
        for size in range(0, 5 * 512, 256):
            with pytest.raises(HypervisorError):
                provider._dom0.call(
                    *(name, mounting.spec.uuid, found.record.image, *more),
                    stdin=whole[:size],
                    subject="web",
                )
            after = {
                path: path.read_bytes()
                for path in disk(mounting).parent.rglob("*")
                if path.is_file()
            }
            unpacked = {path: data for path, data in after.items() if "/.ims/" not in str(path)}
            assert unpacked == before
