"""Oracle VM templates as tar programs make them."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import CancelledError, ImageError
from ims_images import ImageInfo, Member, inspect_image, read_bundle

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "OVM_EL5U3_X86_PVM_4GB"
CONFIG = b"bootloader = '/usr/bin/pygrub'\nmemory = 1024\n"
FILES = {
    "System.img": bytes(range(256)) * 8192,
    "Application.img": bytes(3 << 20),
    "vm.cfg": CONFIG,
    "README": b"",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


def tar(source: Path, *arguments: str) -> Path:
    """What GNU tar packs, run in the folder above ``source``."""
    if shutil.which("tar") is None:
        pytest.skip("tar is not installed")
    path = source.parent / "template.tgz"
    line = ["tar", "-czf", str(path), *arguments]
    subprocess.run(line, cwd=source.parent, check=True, capture_output=True)
    return path


def refusal(path: Path, declared: str = "") -> ImageError:
    with pytest.raises(ImageError) as caught:
        inspect_image(path, declared=declared)
    assert path.name in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("folder", "arguments"),
    [
        (FOLDER, [FOLDER]),
        (FOLDER, [f"./{FOLDER}"]),
        (FOLDER, ["--format=oldgnu", FOLDER]),
        (FOLDER, ["--format=ustar", FOLDER]),
        (FOLDER, ["--format=posix", FOLDER]),  # its pax headers have nothing but times
        (FOLDER, ["--blocking-factor=1", FOLDER]),
        (FOLDER, ["--blocking-factor=200", FOLDER]),
        (FOLDER, [f"{FOLDER}/{name}" for name in FILES]),
        ("", ["-C", FOLDER, "."]),
        ("", ["-C", FOLDER, *FILES]),
    ],
)
def test_what_gnu_tar_packs_is_read(source: Path, folder: str, arguments: list[str]) -> None:
    path = tar(source, *arguments)
    bundle = read_bundle(path, wanted={"vm.cfg": len(CONFIG), "README": 0, "none.txt": 9})
    assert bundle.folder == folder
    assert bundle.members == {
        name: Member(len(content), f"sha256:{hashlib.sha256(content).hexdigest()}")
        for name, content in FILES.items()
    }
    assert bundle.contents == {"vm.cfg": CONFIG, "README": b""}


def test_the_sizes_are_those_that_tar_lists(source: Path) -> None:
    path = tar(source, FOLDER)
    line = ["tar", "-tvzf", str(path)]
    listed = subprocess.run(line, check=True, capture_output=True, text=True).stdout.splitlines()
    files = [line.split() for line in listed if not line.startswith("d")]
    sizes = {name.removeprefix(f"{FOLDER}/"): int(size) for _, _, size, _, _, name in files}
    assert {name: each.size for name, each in read_bundle(path).members.items()} == sizes


def test_what_python_packs_is_read(source: Path) -> None:
    path = shutil.make_archive(
        str(source.parent / "packed"), "gztar", root_dir=source.parent, base_dir=FOLDER
    )
    assert read_bundle(source.parent / path).members.keys() == FILES.keys()


@pytest.mark.parametrize("declared", ["", "ovm-template"])
def test_its_first_disk_is_its_virtual_size(source: Path, declared: str) -> None:
    path = tar(source, FOLDER)
    info = inspect_image(path, declared=declared)
    assert info == ImageInfo("ovm-template", path.stat().st_size, 2 << 20)


def test_a_declared_format_must_be_the_real_one(source: Path, tmp_path: Path) -> None:
    archive, packed, disk = tar(source, FOLDER), tmp_path / "disk.img.gz", tmp_path / "disk.img"
    packed.write_bytes(gzip.compress(FILES["System.img"]))
    disk.write_bytes(FILES["System.img"])
    for path, declared in [
        (archive, "raw"),
        (archive, "qcow2"),
        (packed, "ovm-template"),
        (disk, "ovm-template"),
    ]:
        error = refusal(path, declared)
        assert error.code == "image-format-mismatch"
        assert "tar archive" in error.message


def test_a_packed_disk_is_not_taken_for_a_template(tmp_path: Path) -> None:
    path = tmp_path / "disk.img.gz"
    for content in (b"", b"x" * 511, FILES["System.img"]):
        path.write_bytes(gzip.compress(content))
        error = refusal(path)
        assert error.code == "image-format-unsupported"
        assert error.hint.startswith("gzip -dc")


@pytest.mark.parametrize("missing", ["vm.cfg", "System.img"])
def test_another_archive_is_told_what_it_lacks(source: Path, missing: str) -> None:
    (source / missing).unlink()
    error = refusal(tar(source, FOLDER))
    assert error.code == "image-member-missing"
    assert missing in error.message


def test_a_sparse_archive_is_told_how_to_be_packed(source: Path) -> None:
    with (source / "System.img").open("ab") as disk:
        disk.truncate(64 << 20)
    error = refusal(tar(source, "--sparse", FOLDER))
    assert error.code == "image-member-unsafe"
    assert "sparse" in error.message
    subprocess.run(
        error.hint.replace("NEW", "template").replace("FOLDER", FOLDER).split(),
        cwd=source.parent,
        check=True,
    )
    assert inspect_image(source.parent / "template.tgz").virtual_size == 64 << 20


@pytest.mark.parametrize(("size", "code"), [(0, "image-empty"), (513, "image-size-unaligned")])
def test_its_first_disk_is_whole_sectors(source: Path, size: int, code: str) -> None:
    (source / "System.img").write_bytes(bytes(size))
    assert refusal(tar(source, FOLDER)).code == code


def test_a_member_that_is_wanted_has_a_limit(source: Path) -> None:
    path = tar(source, FOLDER)
    with pytest.raises(ImageError, match=r"vm\.cfg") as caught:
        read_bundle(path, wanted={"vm.cfg": len(CONFIG) - 1})
    assert caught.value.code == "image-too-large"


def test_progress_ends_at_the_size_of_the_file_and_can_end_the_work(source: Path) -> None:
    path = tar(source, FOLDER)
    seen: list[tuple[int, int | None]] = []
    inspect_image(path, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)

    def cancel(_done: int, _total: int | None) -> None:
        raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        read_bundle(path, progress=cancel)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ImageError) as caught:
            read_bundle(path)
        assert caught.value.code == "image-not-readable"


@pytest.mark.parametrize("count", [64, 65])
def test_it_has_few_members(tmp_path: Path, count: int) -> None:
    path = tmp_path / "many.tgz"
    with tarfile.open(path, "w:gz") as packed:
        for name in ["vm.cfg", *(f"{number}.img" for number in range(count - 2))]:
            packed.addfile(tarfile.TarInfo(name))
        info = tarfile.TarInfo("System.img")
        info.size = 512
        with (tmp_path / "zeros").open("w+b") as zeros:
            zeros.truncate(512)
            packed.addfile(info, zeros)
    if count == 64:
        assert len(read_bundle(path).members) == 64
    else:
        assert refusal(path).code == "image-too-large"
