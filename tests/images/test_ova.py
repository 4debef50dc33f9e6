"""OVA files as tar programs, VirtualBox and ovftool write them."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any, Literal

import pytest

from ims_core.errors import CancelledError, ImageError
from ims_images import ImageInfo, inspect_image
from tests.images.appliances import DISK, FILE, by_tarfile, changed, manifest, member, ovf, packed

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Qemu

CONTENT = bytes(range(256)) * 4096 + bytes(1 << 20)


@pytest.fixture(scope="module")
def disk(qemu: Qemu) -> bytes:
    """The disk in all of them."""
    source, path = qemu.folder / "ova.raw", qemu.folder / "ova.vmdk"
    source.write_bytes(CONTENT)
    stream = ["-O", "vmdk", "-o", "subformat=streamOptimized"]
    qemu.run("qemu-img", "convert", "-f", "raw", *stream, source, path)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "web.ova"


@pytest.fixture
def parts(disk: bytes) -> dict[str, bytes]:
    """The members of a good one, in the order of VirtualBox."""
    members = {"web.ovf": ovf(), DISK: disk}
    return {**members, "web.mf": manifest(members)}


@pytest.mark.parametrize("declared", ["", "ova"])
@pytest.mark.parametrize("style", ["gnu", "oldgnu", "ustar", "posix"])
def test_what_gnu_tar_packs_is_read(
    path: Path, parts: dict[str, bytes], style: str, declared: str
) -> None:
    if shutil.which("tar") is None:
        pytest.skip("tar is not installed")
    for name, content in parts.items():
        (path.parent / name).write_bytes(content)
    line = ["tar", f"--format={style}", "-cf", str(path), *parts]
    subprocess.run(line, cwd=path.parent, check=True, capture_output=True)
    info = inspect_image(path, declared=declared)
    assert info == ImageInfo("ova", path.stat().st_size, len(CONTENT))


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_python_packs_is_read(
    path: Path, parts: dict[str, bytes], kind: Literal[0, 1, 2]
) -> None:
    by_tarfile(path, parts, kind)
    assert inspect_image(path).virtual_size == len(CONTENT)


@pytest.mark.parametrize(
    ("owner", "group", "mode"),
    [("vboxovf10", "vbox_v7.0.20r163906", 0o640), ("someone", "someone", 0o644)],
    ids=["virtualbox", "ovftool"],
)
def test_so_are_the_headers_of_those_who_export_most(
    path: Path, parts: dict[str, bytes], owner: str, group: str, mode: int
) -> None:
    fields: dict[str, Any] = {"uname": owner, "gname": group, "mode": mode, "mtime": 1_700_000_000}
    path.write_bytes(packed(parts, **fields))
    assert inspect_image(path).virtual_size == len(CONTENT)
    blocks = []
    for name, content in parts.items():
        binary = b"\x80" + len(content).to_bytes(11, "big")  # as from 8 GiB on
        blocks.append(changed(member(name, content, **fields), (124, binary), (329, bytes(16))))
    path.write_bytes(b"".join(blocks) + bytes(1024))
    assert inspect_image(path).virtual_size == len(CONTENT)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("SHA1", "{}({})= {}\n"),
        ("SHA256", "{}({})= {}\r\n"),
        ("SHA512", "{} ({}) = {}\n"),
        ("SHA1", "{} ({}) = {}\n\n"),
    ],
    ids=["ovftool", "ovftool-256", "virtualbox-512", "virtualbox"],
)
def test_a_manifest_is_checked_whatever_its_kind(
    path: Path, disk: bytes, kind: str, line: str
) -> None:
    members = {"web.ovf": ovf(), DISK: disk}
    good = manifest(members, kind, line)
    path.write_bytes(packed({"web.ovf": ovf(), "web.mf": good, DISK: disk, "web.cert": b"x"}))
    assert inspect_image(path).virtual_size == len(CONTENT)
    for name in members:
        others = {**members, name: b"other"}
        path.write_bytes(packed({**members, "web.mf": manifest(others, kind, line)}))
        with pytest.raises(ImageError, match=name) as caught:
            inspect_image(path)
        assert caught.value.code == "image-corrupt"


@pytest.mark.parametrize("with_manifest", [True, False], ids=["manifest", "no-manifest"])
def test_names_may_have_what_names_of_machines_have(
    path: Path, disk: bytes, with_manifest: bool
) -> None:
    name = "Büro (x64), neu-disk001.vmdk"
    files = FILE.replace(DISK, "B%C3%BCro%20(x64),%20neu-disk001.vmdk")
    members = {"Büro (x64), neu.ovf": ovf(files=files), name: disk}
    if with_manifest:
        members["Büro (x64), neu.mf"] = manifest(members)
    by_tarfile(path, members, tarfile.GNU_FORMAT)
    assert inspect_image(path).virtual_size == len(CONTENT)


def test_other_files_and_empty_disks_do_no_harm(path: Path, disk: bytes) -> None:
    files = f'{FILE}<File ovf:id="file2" ovf:href="web.nvram"/>'
    empty = '<Disk ovf:capacity="8" ovf:diskId="vmdisk2"/>'
    medium = '<Disk ovf:capacity="1" ovf:diskId="vmdisk1" ovf:fileRef="file1"/>'
    descriptor = ovf(files=files, disks=medium + empty)
    path.write_bytes(packed({"web.ovf": descriptor, DISK: disk, "web.nvram": b"x" * 700}))
    assert inspect_image(path).virtual_size == len(CONTENT)


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_of_ovf_are_known(path: Path, disk: bytes, version: int) -> None:
    namespace = f"http://schemas.dmtf.org/ovf/envelope/{version}"
    path.write_bytes(packed({"web.ovf": ovf(namespace=namespace), DISK: disk}))
    assert inspect_image(path).virtual_size == len(CONTENT)


@pytest.mark.parametrize(
    "options",
    [["vmdk"], ["vpc", "-o", "force_size=on"], ["vdi"], ["raw"]],
    ids=["vmdk", "vhd", "vdi", "raw"],
)
def test_its_disk_may_be_of_these_kinds(qemu: Qemu, path: Path, options: list[str]) -> None:
    inside = qemu.folder / "inside"
    qemu.run("qemu-img", "convert", "-f", "raw", "-O", *options, "ova.raw", inside)
    path.write_bytes(packed({"web.ovf": ovf(), DISK: inside.read_bytes()}))
    assert inspect_image(path).virtual_size == len(CONTENT)


def test_progress_is_told_and_can_end_the_work(path: Path, parts: dict[str, bytes]) -> None:
    path.write_bytes(packed(parts))
    seen: list[tuple[int, int | None]] = []
    inspect_image(path, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] == sum(len(parts[name]) for name in ("web.ovf", DISK))

    def cancel(_done: int, _total: int | None) -> None:
        raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        inspect_image(path, progress=cancel)
