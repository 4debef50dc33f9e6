"""FAT and ext2 disks, as fsck, mtools, debugfs and blkid see them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from ims_bootparams.media import build
from ims_core.errors import InvalidError
from ims_core.models import Carrier
from tests.bootparams.helpers import run
from tests.bootparams.judges import needs, probed, read_back
from tests.bootparams.trees import TREES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DISKS = (Carrier.FAT_DISK, Carrier.EXT2_DISK)
FILES = {
    "bootparams.conf": b"IMS_FORMAT='1'\n",
    "ims.nonce": b"n-1\n",
    "files/0000": bytes(range(256)) * 20,
    "files/0001": b"",
    "a/b/c/d/e/f/g": b"deep",
    "Mixed.Case-name_with.dots.and.more.than.thirty.characters": b"long",
    "thirteen-long": b"fills one entry of a long name to its end",
    "x" * 64: b"longest",
}
by_disk = pytest.mark.parametrize("disk", DISKS, ids=str)


@by_disk
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files=TREES)
def test_any_files_are_read_back_by_foreign_tools(disk: Carrier, files: dict[str, bytes]) -> None:
    assert read_back(disk, build(disk, files, "IMS", serial="n-1")) == files


@by_disk
def test_awkward_names_are_read_back(disk: Carrier) -> None:
    assert read_back(disk, build(disk, FILES, "IMS")) == FILES


# Where FAT12 becomes FAT16, clusters and blocks grow, and inodes need one and two more levels.
@by_disk
@pytest.mark.parametrize(
    "size", [11_000, 270_000, 1_900_000, 2_060_000, 8_100_000, 8_400_000, 33_000_000, 64 << 20]
)
def test_sizes_at_which_the_format_changes(disk: Carrier, size: int) -> None:
    files = {"large": os.urandom(size), "small": b"x"}
    assert read_back(disk, build(disk, files, "IMS")) == files


@by_disk
def test_a_crowded_directory(disk: Carrier) -> None:
    files: Mapping[str, bytes] = {f"{i:04}-with-a-name": b"%d" % i for i in range(700)}
    assert read_back(disk, build(disk, files, "IMS")) == files
    below = {f"deep/{name}": content for name, content in files.items()}
    assert read_back(disk, build(disk, below, "IMS")) == below


@pytest.mark.parametrize("label", ["IMS", "cidata", "config-2", "CONTEXT"])
def test_blkid_sees_type_and_label(tmp_path: Path, label: str) -> None:
    fat = probed(build(Carrier.FAT_DISK, FILES, label), tmp_path)
    assert {f"LABEL={label.upper()}", f"LABEL_FATBOOT={label.upper()}", "TYPE=vfat"} <= fat
    ext2 = probed(build(Carrier.EXT2_DISK, FILES, label), tmp_path)
    assert {f"LABEL={label}", "TYPE=ext2"} <= ext2


def test_only_root_may_read_an_ext2_disk(tmp_path: Path) -> None:
    path = tmp_path / "x.img"
    path.write_bytes(build(Carrier.EXT2_DISK, FILES, "IMS"))
    for name, mode in (("/bootparams.conf", "0400"), ("/files", "0700"), ("/", "0700")):
        shown = run(needs("debugfs"), "-R", f"stat {name}", path).decode()
        assert f"Mode:  {mode}" in shown
        assert "User:     0   Group:     0" in shown


@pytest.mark.parametrize("medium", [each for each in Carrier if each.is_medium], ids=str)
def test_equal_input_gives_equal_bytes_and_another_serial_another_beginning(
    monkeypatch: pytest.MonkeyPatch, medium: Carrier
) -> None:
    first = build(medium, FILES, "IMS", serial="aaaa")
    assert build(medium, dict(reversed(FILES.items())), "IMS", serial="aaaa") == first
    other = build(medium, FILES, "IMS", serial="bbbb")
    # What a watcher in the guest reads: the first 4 KiB, and 4 KiB from 32768 on.
    assert other[:4096] + other[32768:36864] != first[:4096] + first[32768:36864]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert build(medium, FILES, "IMS", serial="aaaa") != first


@pytest.mark.parametrize("medium", [each for each in Carrier if each.is_medium], ids=str)
@pytest.mark.parametrize(
    ("files", "label", "words"),
    [
        ({"a": b"", "A": b""}, "IMS", "'A'.*'a'"),
        ({"a/x": b"", "A/y": b""}, "IMS", "'A'.*'a'"),
        ({"a": b"", "a/b": b""}, "IMS", "'a'"),
        ({"../a": b""}, "IMS", "medium file"),
        ({"/a": b""}, "IMS", "medium file"),
        ({"a b": b""}, "IMS", "medium file"),
        ({"x" * 65: b""}, "IMS", "medium file"),
        ({"a": b""}, "", "volume label"),
        ({"a": b""}, "a b", "volume label"),
        ({"a": b""}, "x" * 17, "volume label"),
    ],
)
def test_what_cannot_be_carried_is_refused(
    medium: Carrier, files: dict[str, bytes], label: str, words: str
) -> None:
    with pytest.raises(InvalidError, match=words):
        build(medium, files, label)


def test_fat_has_room_for_eleven_characters_of_a_label() -> None:
    with pytest.raises(InvalidError, match="volume label"):
        build(Carrier.FAT_DISK, {}, "twelve-chars")


@pytest.mark.parametrize("medium", [each for each in Carrier if each.is_medium], ids=str)
def test_an_image_over_the_limit_is_refused_and_says_by_how_much(medium: Carrier) -> None:
    size = len(build(medium, FILES, "IMS"))
    assert len(build(medium, FILES, "IMS", limit=size)) == size
    with pytest.raises(InvalidError, match=rf"{size} bytes.*{size - 1}") as caught:
        build(medium, FILES, "IMS", limit=size - 1)
    assert caught.value.code == "context-too-large"
    assert "files/0000" in caught.value.hint


@by_disk
def test_what_the_format_cannot_hold_is_refused(disk: Carrier) -> None:
    class Enormous(bytes):
        def __len__(self) -> int:
            return 1 << 31

    with pytest.raises(InvalidError) as caught:
        build(disk, {"user-data": Enormous()}, "IMS")
    assert caught.value.code == "context-too-large"
