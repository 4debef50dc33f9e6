from __future__ import annotations

import gzip
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_core.errors import ImageError
from ims_images import ImageInfo, inspect_image

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Qemu


def refusal(path: Path, declared: str = "") -> ImageError:
    with pytest.raises(ImageError) as caught:
        inspect_image(path, declared=declared)
    assert path.name in caught.value.message
    return caught.value


@pytest.mark.parametrize("declared", ["", "raw"])
def test_a_raw_disk_is_accepted(tmp_path: Path, declared: str) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"\xeb\x63" + bytes(508) + b"\x55\xaa" + bytes(512))
    assert inspect_image(path, declared=declared) == ImageInfo("raw", 1024, 1024)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.touch()
    assert refusal(path).code == "image-empty"


@pytest.mark.parametrize("size", [1, 511, 513, 4095])
def test_a_part_of_a_sector_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(size))
    assert refusal(path).code == "image-size-unaligned"


def test_an_absurdly_large_raw_disk_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.touch()
    try:
        os.truncate(path, (8 << 40) + 512)
        inspect_image(path)
        os.truncate(path, (64 << 40) + 512)
    except OSError:
        pytest.skip("this file system has no such large files")
    assert refusal(path).code == "image-too-large"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["vhdx"], "VHDX"),
        (["qed"], "QED"),
        (["qcow"], "qcow version 1"),
        (["parallels"], "Parallels"),
    ],
)
def test_another_hypervisors_image_is_named_with_the_line_that_converts_it(
    qemu: Qemu, tmp_path: Path, options: list[str], name: str
) -> None:
    path = tmp_path / "an image"
    qemu.run("qemu-img", "create", "-f", *options, path, "1M")
    for declared in ("", "raw"):
        error = refusal(path, declared)
        assert error.code == "image-format-unsupported"
        assert name in error.message
    # The line can be pasted as it stands, and what comes out is accepted.
    subprocess.run(error.hint, shell=True, check=True, cwd=tmp_path)  # noqa: S602
    assert inspect_image(tmp_path / "an image.qcow2").virtual_size >= 1 << 20


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (gzip.compress(mtime=0, data=b"x"), "gzip"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh9", "bzip2"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"PK\x03\x04", "zip"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (bytes(257) + b"ustar\0", "OVA"),
        (b"<!DOCTYPE html><html>", "HTML"),
    ],
)
def test_what_must_be_unpacked_first_is_named(tmp_path: Path, head: bytes, name: str) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(head.ljust(1024, b"\0"))
    error = refusal(path)
    assert error.code == "image-format-unsupported"
    assert name in error.message


def test_a_footer_of_virtual_pc_before_2004_is_named(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    path.write_bytes(bytes(1025) + b"conectix".ljust(511, b"\0"))
    error = refusal(path)
    assert (error.code, "Virtual PC" in error.message) == ("image-format-unsupported", True)


def test_an_iso_is_refused_unless_declared_raw(tmp_path: Path) -> None:
    path = tmp_path / "install.iso"
    path.write_bytes(bytes(32769) + b"CD001".ljust(2047, b"\0"))
    assert "ISO" in refusal(path).message
    assert inspect_image(path, declared="raw").format == "raw"


def test_a_luks_container_is_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"LUKS\xba\xbe\0\1".ljust(1024, b"\0"))
    assert refusal(path).code == "image-encrypted"


def test_a_declared_format_must_be_the_real_one(qemu: Qemu, tmp_path: Path) -> None:
    qcow2, raw = tmp_path / "a.qcow2", tmp_path / "a.img"
    qemu.run("qemu-img", "create", "-f", "qcow2", qcow2, "1M")
    raw.write_bytes(bytes(512))
    assert inspect_image(qcow2, declared="qcow2").format == "qcow2"
    assert refusal(qcow2, "raw").code == "image-format-mismatch"
    assert refusal(raw, "qcow2").code == "image-format-mismatch"
    assert refusal(raw, "vmdk").code == "image-format-mismatch"
    assert refusal(raw, "vhdx").code == "image-format-unknown"


def test_only_regular_files_are_read_and_a_fifo_does_not_block(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, tmp_path / "missing", tmp_path / "nul\0byte"):
        assert_code = pytest.raises(ImageError)
        with assert_code as caught:
            inspect_image(path)
        assert caught.value.code == "image-not-readable"


def test_a_name_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "disk\x1b[2J\n.img"
    path.touch()
    with pytest.raises(ImageError) as caught:
        inspect_image(path)
    assert caught.value.message.isprintable()


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "ssl", "hashlib", "zlib", "urllib", "http", "ims_core"
    code = f"import sys, ims_images; print([m for m in {heavy!r} if m in sys.modules])"
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@given(data=st.binary(max_size=2048))
@settings(deadline=5000)
def test_random_bytes_are_accepted_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.img"
    path.write_bytes(data)
    try:
        info = inspect_image(path)
    except ImageError as error:
        assert error.message.isprintable()  # noqa: PT017 - either outcome is good
    else:
        assert info == ImageInfo("raw", len(data), len(data))
