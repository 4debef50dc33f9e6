"""Injections by the real libguestfs, read back by debugfs."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import DeadlineError, HypervisorError, ImsError, InvalidError
from ims_core.models import File
from ims_guestfs import guest, inject, places
from ims_guestfs.guestfish import Guestfish, running
from tests.guestfs.disks import FIRST, SECTOR, SYSTEM, Found, Reader, disk, partitioned, tree
from tests.guestfs.processes import at_work, left_by
from tests.labs.commands import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("engine")

SECONDS = 300.0
BYTES = bytes(range(256)) * 4096 + b"no newline at the end"
LINKS = {"run": "var/log", "etc/link": "/home/web/old", "etc/nowhere": "/nothing/there"}


def made(folder: Path, system: Mapping[str, str] = SYSTEM, megabytes: int = 24) -> Path:
    """The disk of a guest without partitions."""
    return disk(folder / "disk.raw", tree(folder / "tree", system, LINKS), megabytes)


def injected(image: Path, *files: File, image_format: str = "raw") -> None:
    inject(image, image_format, files, accelerated=False, timeout=SECONDS)


def test_files_arrive_with_their_content_mode_and_owner(tmp_path: Path) -> None:
    image = made(tmp_path)
    injected(
        image,
        File("/etc/ims/deep/bytes", BYTES, 0o4711, "web:adm"),
        File("/etc/ims/empty", b"", 0o600, "7:8"),
        File("/etc/hostname", b"web1\n"),
        File("/etc/link", b"a file now\n", 0o640, "web"),
        File("/etc/nowhere", b"as well"),
        File("/run/through a link ü", b"there", 0o1777, "2147483647:web"),
    )
    run("e2fsck", "-f", "-n", image)
    found = Reader(image)
    expected = {
        "/etc/ims/deep/bytes": (BYTES, 0o4711, (1001, 4)),
        "/etc/ims/empty": (b"", 0o600, (7, 8)),
        "/etc/hostname": (b"web1\n", 0o644, (0, 0)),
        "/etc/link": (b"a file now\n", 0o640, (1001, 0)),
        "/etc/nowhere": (b"as well", 0o644, (0, 0)),
        "/var/log/through a link ü": (b"there", 0o1777, (2147483647, 1002)),
    }
    for path, (content, mode, owner) in expected.items():
        assert found.stat(path) == Found("regular", mode, owner), path
        assert found.content(path, tmp_path / "read") == content, path
    for path in ("/etc/ims", "/etc/ims/deep"):
        assert found.stat(path) == Found("directory", 0o755, (0, 0))
    assert found.content("/home/web/old", tmp_path / "read") == b"old\n", "the link's target stays"
    assert found.names("/etc/ims") == {"deep", "empty"}, "nothing else is left"
    assert "/.autorelabel" not in found.names("/")
    assert at_work(image) == []


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk of two partitions, with a guest that labels its files."""
    folder = tmp_path_factory.mktemp("template")
    mounts = "/dev/vda1 / ext4 defaults 0 1\n/dev/vda2 /srv ext4 defaults 0 2\n"
    policy = {"etc/selinux/config": "SELINUX=enforcing\n", "usr/sbin/load_policy": ""}
    system = {**SYSTEM, **policy, "etc/fstab": mounts, "srv/hidden": ""}
    root = disk(folder / "root", tree(folder / "tree", system))
    data = disk(folder / "srv", tree(folder / "data", {"www/index": ""}), 8)
    return partitioned(folder / "template.raw", root, data)


def test_a_disk_above_a_template_is_written_and_the_template_is_not(
    template: Path, tmp_path: Path
) -> None:
    before = hashlib.sha256(template.read_bytes()).digest()
    image = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", template, "-F", "raw", image)
    injected(
        image,
        File("/srv/www/new/page", b"hello\n", 0o644, "web:web"),
        File("/etc/ims", b"x"),
        image_format="qcow2",
    )
    plain = tmp_path / "plain"
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, plain)
    root, data = Reader(plain, FIRST), Reader(plain, FIRST + (24 << 20) // SECTOR)
    assert data.stat("/www/new/page") == Found("regular", 0o644, (1001, 1002))
    assert data.content("/www/new/page", tmp_path / "read") == b"hello\n"
    assert root.content("/etc/ims", tmp_path / "read") == b"x"
    assert root.names("/srv") == {"hidden"}, "it went to the file system that the guest sees"
    assert root.stat("/.autorelabel") is not None
    assert hashlib.sha256(template.read_bytes()).digest() == before


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guestfish]:
    """A guest that is mounted, for all that only look."""
    folder = tmp_path_factory.mktemp("opened")
    links = {
        "loop": "loop",
        "nowhere": "/nothing",
        "up": "../../../../etc",
        "etc/dir": "../var",
        "far": "/" + "/".join(["x" * 180] * 5),
    }
    content = tree(folder / "tree", {**SYSTEM, f"{links['far'][1:]}/x": ""}, links)
    image = disk(folder / "disk.raw", content)
    with running(accelerated=False, timeout=3600) as fish:
        fish.ask("add-drive", str(image), "format:raw")
        fish.launch()
        guest.mount(fish)
        yield fish
        fish.finish()


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/new", "/new"),
        ("/etc/hostname", "/etc/hostname"),
        ("/up/x/y", "/etc/x/y"),
        ("/etc/dir/log/x", "/var/log/x"),
        ("/nowhere", "/nowhere"),
    ],
)
def test_links_in_the_guest_lead_to_its_own_directories(
    opened: Guestfish, path: str, target: str
) -> None:
    (place,) = places.find(opened, [File(path, b"")])
    assert place.target == target


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("/etc", "0:0")], "files[0].path: '/etc' is a directory"),
        ([("/x", "0:0"), ("/up", "0:0")], "files[1].path: '/up' is a directory"),
        ([("/etc/hostname/x", "0:0")], "files[0].path: '/etc/hostname' is no directory"),
        ([("/nowhere/x", "0:0")], "files[0].path: '/nowhere' is no directory"),
        ([("/far/" + "y" * 200, "0:0")], "files[0].path: it has 1106 bytes"),
        ([("/x", "nobody:root")], "files[0].owner: the guest has no user 'nobody'"),
        ([("/x", "web:nogroup")], "files[0].owner: the guest has no group 'nogroup'"),
        ([("/x", "2147483648")], "files[0].owner: 2147483648 is too large"),
        (
            [("/up/x", "0:0"), ("/etc/x", "0:0")],
            "files[1].path: it is the same place in the guest as files[0].path",
        ),
        (
            [("/etc/new", "0:0"), ("/up/new/x/y", "0:0")],
            "files[0].path: files[1].path needs a directory there",
        ),
    ],
)
def test_what_this_guest_cannot_take_is_refused_by_its_field(
    opened: Guestfish, files: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        places.find(opened, [File(path, b"", owner=owner) for path, owner in files])
    assert str(caught.value).startswith(message)
    assert caught.value.hint


@pytest.mark.usefixtures("opened")  # by then libguestfs has built its machine
def test_when_the_time_is_over_nothing_is_at_work_any_more(tmp_path: Path) -> None:
    image, seen = made(tmp_path), threading.Event()
    left: set[Path] = set()

    def look() -> None:
        while not seen.wait(0.1):
            for process in at_work(image):
                left.update(left_by(process))
                seen.set()

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        with pytest.raises(DeadlineError) as caught:
            inject(image, "raw", [File("/x", BYTES)], accelerated=False, timeout=4)
        assert seen.is_set(), "QEMU had been started"
    finally:
        seen.set()
        watcher.join()
    assert caught.value.code == "injection-timeout"
    assert at_work(image) == []
    for each in left:
        shutil.rmtree(each, ignore_errors=True)


def test_nothing_outlives_a_process_that_is_killed(tmp_path: Path) -> None:
    image = made(tmp_path)
    call = "inject(Path(sys.argv[1]), 'raw', [File('/x', b'')], accelerated=False, timeout=300)"
    imports = "import sys; from pathlib import Path; from ims_core.models import File"
    program = f"{imports}; from ims_guestfs import inject; {call}"
    with subprocess.Popen([sys.executable, "-c", program, image]) as victim:
        end = time.monotonic() + SECONDS
        while len(at_work(image)) < 2:  # the victim itself, and QEMU
            assert time.monotonic() < end
            time.sleep(0.1)
        left = left_by(next(each for each in at_work(image) if each != victim.pid))
        victim.send_signal(signal.SIGKILL)
    while at_work(image):
        assert time.monotonic() < end
        time.sleep(0.1)
    for each in left:
        assert not [path for path in each.rglob("*") if path.is_file()], "no file is left in it"
        shutil.rmtree(each)


@pytest.mark.full
def test_a_disk_without_a_system_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    image = disk(tmp_path / "disk.raw", tree(tmp_path / "tree", {"data": ""}))
    assert "a file system without one" in str(_refused(image))


@pytest.mark.full
def test_a_disk_with_two_systems_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    one = made(tmp_path)
    image = partitioned(tmp_path / "two.raw", one, one)
    assert "there are 2 systems in it" in str(_refused(image))


@pytest.mark.full
def test_a_guest_with_a_file_system_elsewhere_is_refused_and_stays_as_it_was(
    tmp_path: Path,
) -> None:
    mounts = f"{SYSTEM['etc/fstab']}/dev/vdb1 /srv ext4 defaults 0 2\n"
    image = made(tmp_path, {**SYSTEM, "etc/fstab": mounts, "srv/x": ""})
    assert "cannot be mounted on /srv" in str(_refused(image))


def _refused(image: Path) -> ImsError:
    before = image.read_bytes()
    with pytest.raises(HypervisorError) as caught:
        injected(image, File("/etc/x", b"x"))
    assert caught.value.code == "image-unreadable"
    assert image.read_bytes() == before
    return caught.value


@pytest.mark.full
def test_what_finds_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    image = made(tmp_path, megabytes=8)
    with pytest.raises(HypervisorError, match="write error") as caught:
        injected(image, File("/etc/hostname", b"new"), File("/etc/large", bytes(16 << 20)))
    assert caught.value.code == "injection-failed"
    run("e2fsck", "-f", "-n", image)
    assert not {name for name in Reader(image).names("/etc") if "ims" in name or "large" in name}
    assert Reader(image).content("/etc/hostname", tmp_path / "read") == b"template\n"


def test_an_image_that_a_vm_uses_is_left_alone(tmp_path: Path) -> None:
    image = made(tmp_path)
    line = ["qemu-io", "-f", "raw", str(image)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout
        user.stdout.read(1)  # its prompt: it has locked the image
        with pytest.raises(HypervisorError) as caught:
            injected(image, File("/x", b""))
        user.kill()
    assert caught.value.code == "injection-not-started"


@pytest.mark.parametrize("image_format", ["", "x,file=/etc/passwd", "raw readonly:true"])
def test_no_format_is_guessed_or_more_than_a_format(tmp_path: Path, image_format: str) -> None:
    with pytest.raises(HypervisorError, match="format") as caught:
        injected(made(tmp_path), File("/x", b""), image_format=image_format)
    assert caught.value.code == "injection-not-started"
