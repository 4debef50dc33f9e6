"""VMDK, VDI and VHD images as QEMU makes them: what IMS says of them is what QEMU says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import ImageError
from ims_images import inspect_image

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Qemu

KINDS = {
    "vmdk": ("vmdk", ["vmdk"]),
    "vmdk-stream": ("vmdk", ["vmdk", "-o", "subformat=streamOptimized"]),
    "vdi": ("vdi", ["vdi"]),
    "vdi-static": ("vdi", ["vdi", "-o", "static=on"]),
    "vhd": ("vhd", ["vpc", "-o", "force_size=on"]),
    "vhd-geometry": ("vhd", ["vpc"]),
    "vhd-fixed": ("vhd", ["vpc", "-o", "subformat=fixed,force_size=on"]),
}
SECTORS = [1, 127, 129, 2047, 2049, 70_001]


def made(qemu: Qemu, folder: Path, kind: str, sectors: int) -> Path:
    """A disk with data in its first and its last sector."""
    source, path = folder / "source.raw", folder / "disk"
    with source.open("wb") as file:
        file.truncate(sectors * 512)
        file.write(b"first")
        file.seek(sectors * 512 - 4)
        file.write(b"last")
    qemu.run("qemu-img", "convert", "-f", "raw", "-O", *KINDS[kind][1], source, path)
    return path


def refusal(path: Path, declared: str = "") -> ImageError:
    with pytest.raises(ImageError) as caught:
        inspect_image(path, declared=declared)
    assert path.name in caught.value.message
    return caught.value


@pytest.mark.parametrize("sectors", SECTORS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_qemu_makes_is_accepted(qemu: Qemu, tmp_path: Path, kind: str, sectors: int) -> None:
    path = made(qemu, tmp_path, kind, sectors)
    found = KINDS[kind][0]
    driver = {"vhd": "vpc"}.get(found, found)
    said = json.loads(qemu.run("qemu-img", "info", "-f", driver, "--output=json", path))
    for declared in ("", found):
        info = inspect_image(path, declared=declared)
        assert (info.format, info.size) == (found, path.stat().st_size)
        assert info.virtual_size == said["virtual-size"]
    assert refusal(path, "raw").code == "image-format-mismatch"
    assert refusal(path, "qcow2").code == "image-format-mismatch"


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_disk_is_accepted(qemu: Qemu, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "disk"
    qemu.run("qemu-img", "create", "-f", *KINDS[kind][1], path, "64M")
    assert inspect_image(path).virtual_size >= 64 << 20


@pytest.mark.parametrize("kind", KINDS)
def test_no_part_of_it_is_enough(qemu: Qemu, tmp_path: Path, kind: str) -> None:
    path = made(qemu, tmp_path, kind, 4096)
    whole = path.read_bytes()
    used = len(whole.rstrip(b"\0"))  # what is cut off beyond that, nobody could miss
    for length in {*range(512, used, 65536), used - 1, used - 512, used - 513}:
        path.write_bytes(whole[:length])
        with pytest.raises(ImageError):
            inspect_image(path, declared=KINDS[kind][0])


@pytest.mark.parametrize(
    ("kind", "made_with", "code"),
    [
        ("vmdk", ["vmdk", "-o", "subformat=monolithicFlat"], "image-format-unsupported"),
        ("vmdk", ["vmdk", "-o", "subformat=twoGbMaxExtentSparse"], "image-format-unsupported"),
        ("vmdk", ["vmdk", "-o", "subformat=twoGbMaxExtentFlat"], "image-format-unsupported"),
    ],
    ids=["flat", "split-sparse", "split-flat"],
)
def test_a_vmdk_in_several_files_is_told_how_to_be_one(
    qemu: Qemu, tmp_path: Path, kind: str, made_with: list[str], code: str
) -> None:
    path = tmp_path / "an image.vmdk"
    qemu.run("qemu-img", "create", "-f", *made_with, path, "1M")
    for declared in ("", kind):
        error = refusal(path, declared)
        assert error.code == code
        assert "in other files" in error.message
        assert error.hint.startswith("qemu-img convert -f vmdk -O qcow2 ")


def test_an_extent_of_esx_is_named(tmp_path: Path) -> None:
    path = tmp_path / "web-000001-delta.vmdk"
    path.write_bytes(b"COWD".ljust(2048, b"\0"))
    error = refusal(path)
    assert (error.code, "ESX" in error.message) == ("image-format-unsupported", True)


@pytest.mark.parametrize("kind", ["vmdk", "qcow2"])
def test_an_image_on_top_of_another_is_refused(qemu: Qemu, tmp_path: Path, kind: str) -> None:
    base, path = tmp_path / "base", tmp_path / "overlay"
    qemu.run("qemu-img", "create", "-f", kind, base, "1M")
    qemu.run("qemu-img", "create", "-f", kind, "-b", base, "-F", kind, path)
    assert refusal(path).code == "image-has-backing-file"
