"""Files put into disks that others made, as fsck, mtools, debugfs and blkid see them."""

from __future__ import annotations

import functools
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ims_bootparams.media import build, put_files
from ims_bootparams.media.existing import read_file
from ims_core.errors import InvalidError, UnsupportedError
from ims_core.models import Carrier
from tests.bootparams.foreign_disks import DISKS, THEIRS, Disk, blank, made
from tests.bootparams.helpers import run
from tests.bootparams.judges import needs, probed, read_back
from tests.bootparams.trees import TREES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OURS = {
    "bootparams.conf": b"IMS_FORMAT='1'\n",
    "ims.nonce": b"n-1\n",
    "files/0000": bytes(range(256)) * 20,
    "files/0001": b"",
    "scripts/a/0003": os.urandom(70_000),
    "Mixed.Case-name_with.dots.and.more.than.thirty.characters": b"long",
    "thirteen-long": b"fills one entry of a long name to its end",
    **{f"lots/{i:03}-of-them-with-a-long-name": b"%d" % i for i in range(100)},
}
FATS = [name for name, disk in DISKS.items() if disk.carrier is Carrier.FAT_DISK]
EXT2S = [name for name, disk in DISKS.items() if disk.carrier is Carrier.EXT2_DISK]
by_disk = pytest.mark.parametrize("name", DISKS)


def found(name: str, image: bytes) -> dict[str, bytes]:
    """All files, once a checker found no fault; and the size is what it was."""
    assert len(image) == DISKS[name].kibibytes << 10
    there = read_back(DISKS[name].carrier, image)
    there.pop("link+", None)  # it has the content of what it points to
    return there


def told(image: bytes, tmp_path: Path, *command: str | Path) -> list[str]:
    """What a program says about an image; its name stands last in the command."""
    path = tmp_path / "told.img"
    path.write_bytes(image)
    return run(*command, path).decode().splitlines()


def debugfs(image: bytes, tmp_path: Path, *requests: str) -> str:
    script = tmp_path / "requests"
    script.write_text("\n".join(requests))
    return "\n".join(told(image, tmp_path, needs("debugfs"), "-f", script))


@by_disk
def test_ours_are_there_and_theirs_too(tmp_path: Path, name: str) -> None:
    before, image = made(name), put_files(made(name), OURS)
    assert found(name, before) == THEIRS
    assert found(name, image) == THEIRS | OURS
    assert probed(image, tmp_path) == probed(before, tmp_path)


@by_disk
def test_removed_again_all_is_as_it_was(tmp_path: Path, name: str) -> None:
    before = made(name)
    image = put_files(put_files(before, OURS), {}, remove=[*OURS, "files/never-was", "never/was"])
    for tool, *arguments in (
        [["dumpe2fs", "-h"]]
        if name in EXT2S
        else [["mdir", "-/", "-a", "::", "-i"], ["mattrib", "-/", "::", "-i"]]
    ):
        command = (needs(tool), *arguments)
        assert told(image, tmp_path, *command) == told(before, tmp_path, *command)
    assert put_files(image, OURS) == put_files(image, dict(reversed(OURS.items())))
    assert put_files(put_files(image, OURS), {}, remove=OURS) == image  # nothing leaks


@pytest.mark.parametrize("name", ["fat12", "fat16", "ext2-indexed", "ext2-4k"])
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(first=TREES, then=TREES)
def test_any_files_after_any_files(
    name: str, first: dict[str, bytes], then: dict[str, bytes]
) -> None:
    image = put_files(made(name), first)
    assert found(name, image) == THEIRS | first
    assert found(name, put_files(image, then, remove=first)) == THEIRS | then


@by_disk
def test_what_is_there_is_replaced(name: str) -> None:
    image = put_files(made(name), {"a/b": b"x" * 99_999, "a/c": b"1", "d": b"2", "e/f": b"3"})
    ours = {"a/b": b"y", "d": b"z" * 50_000, "e": b"4"}
    assert found(name, put_files(image, ours, remove=["a/c", "e/f"])) == THEIRS | ours


def test_on_fat_names_that_differ_by_case_are_one() -> None:
    image = put_files(made("fat16"), {"Files/One.txt": b"1", "Two": b"2"})
    image = put_files(image, {"FILES/one.TXT": b"3"}, remove=["tWO"])
    assert found("fat16", image) == THEIRS | {"Files/one.TXT": b"3"}


@pytest.mark.parametrize("name", EXT2S)
def test_modes_owners_and_times_on_ext2(tmp_path: Path, name: str) -> None:
    before, image = made(name), put_files(made(name), OURS)
    names = (*THEIRS, "link+", "long+link", "nothing+in", "some+dir")
    theirs = [f'stat "/{each}"' for each in names]
    assert debugfs(image, tmp_path, *theirs) == debugfs(before, tmp_path, *theirs)
    mode_and_time = re.compile(r"Mode: +\d+|User: +\d+ +Group: +\d+|mtime: \S+")
    roots = [mode_and_time.findall(debugfs(each, tmp_path, "stat /")) for each in (before, image)]
    assert roots[0] == roots[1]
    for each, mode in (("bootparams.conf", "0400"), ("files", "0700"), ("scripts/a/0003", "0400")):
        shown = debugfs(image, tmp_path, f"stat {each}")
        assert f"Mode:  {mode}" in shown
        assert "User:     0   Group:     0" in shown
        assert "mtime: 0x12cea600" in shown  # 1980


def test_a_directory_with_an_index_loses_it(tmp_path: Path) -> None:
    before = made("ext2-indexed")
    after = put_files(before, {"many/more": b"1"})
    assert [
        re.search("Flags: (0x[0-9a-f]+)", debugfs(image, tmp_path, "stat /many"))[1]  # type: ignore[index]
        for image in (before, after)
    ] == ["0x1000", "0x0"]
    assert found("ext2-indexed", after) == THEIRS | {"many/more": b"1"}


def test_extended_attributes_go_with_the_last_file_that_has_them(tmp_path: Path) -> None:
    path = tmp_path / "x.img"
    path.write_bytes(put_files(made("ext2-1k"), {"a": b"1", "b": b"2"}))
    for request in (
        "ea_set /a user.one 1",
        "set_inode_field /b file_acl " + "{}",
        "set_inode_field /b blocks 4",
    ):
        shown = run(needs("debugfs"), "-R", "stat /a", path).decode()
        block = re.search(r"File ACL: (\d+)", shown)
        assert block
        run(needs("debugfs"), "-w", "-R", request.format(block[1]), path)
    run(needs("e2fsck"), "-f", "-y", path, allowed=1)  # it counts the files
    image = path.read_bytes()
    for files in ({"a": b"3"}, {"a": b"3", "b": b"4"}):
        assert found("ext2-1k", put_files(image, files)) == THEIRS | {"a": b"1", "b": b"2"} | files


def test_a_file_with_two_names_loses_one(tmp_path: Path) -> None:
    path = tmp_path / "x.img"
    path.write_bytes(put_files(made("ext2-2k"), {"a": b"1"}))
    for request in ("ln /a /b", "set_inode_field /a links_count 2"):
        run(needs("debugfs"), "-w", "-R", request, path)
    assert found("ext2-2k", put_files(path.read_bytes(), {}, ["a"])) == THEIRS | {"b": b"1"}


# --- no room -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["floppy", "fat16", "ext2-small-groups", "ext2-4k"])
def test_a_disk_can_be_filled_to_its_end(name: str) -> None:
    least, most = 0, DISKS[name].kibibytes << 2  # times 256 bytes
    while most - least > 1:
        middle = (least + most) // 2
        if put_or_refused(made(name), {"large": bytes(middle << 8)}):
            least = middle
        else:
            most = middle
    with pytest.raises(InvalidError, match=rf"'large' has {most << 8} bytes") as caught:
        put_files(made(name), {"large": bytes(most << 8)})
    assert caught.value.code == "context-too-large"
    large = {"large": os.urandom(least << 8)}
    full = put_files(made(name), large)
    assert found(name, full) == THEIRS | large
    with pytest.raises(InvalidError, match="too large"):
        put_files(full, {"more": b"1"})
    assert found(name, put_files(full, {"large": b"1"})) == THEIRS | {"large": b"1"}


def test_directories_and_inodes_have_an_end_too() -> None:
    many = {f"{i:04}": b"" for i in range(300)}
    with pytest.raises(InvalidError, match="entries") as caught:
        put_files(made("floppy"), many)
    assert caught.value.code == "context-too-large"
    with pytest.raises(InvalidError, match="more file") as caught:
        put_files(made("ext2-small-groups"), many)
    assert caught.value.code == "context-too-large"


# --- what is refused -----------------------------------------------------------------------------


def patched(image: bytes, at: int, new: bytes) -> bytes:
    return image[:at] + new + image[at + len(new) :]


def by_debugfs(name: str, request: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image")
        path.write_bytes(made(name))
        run(needs("debugfs"), "-w", "-R", request, path)
        return path.read_bytes()


def foreign(kibibytes: int, command: str) -> Callable[[], bytes]:
    return lambda: blank(Disk(kibibytes, command))


def partitioned() -> bytes:
    entry = bytes([0x80, 1, 1, 0, 6, 1, 1, 1]) + (1).to_bytes(4, "little") * 2
    return bytes(446) + entry + bytes(48) + b"\x55\xaa" + bytes(1 << 20)


def fat16_with_errors() -> bytes:
    image = made("fat16-one-table")
    return patched(image, int.from_bytes(image[14:16], "little") * 512 + 3, b"\x7f")


REFUSED: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "FAT32": ("FAT32", foreign(40960, "mkfs.vfat -F 32 -s 1")),
    "a partition table": ("partition table", partitioned),
    "nothing": ("neither", lambda: b""),
    "zeros": ("neither", lambda: bytes(1 << 20)),
    "an ISO": ("neither", lambda: build(Carrier.ISO, {}, "IMS")),
    "both": ("at once", lambda: patched(made("fat16"), 1080, b"\x53\xef")),
    "a large one": ("67108865 bytes", lambda: bytes((64 << 20) + 1)),
    "ext4": ("ext4", foreign(8192, "mke2fs -q -t ext4")),
    "64bit": ("ext4", foreign(8192, "mke2fs -q -t ext2 -O extents,64bit")),
    "checksums": ("ext4", foreign(8192, "mke2fs -q -t ext2 -O metadata_csum")),
    "group checksums": ("ext4", foreign(8192, "mke2fs -q -t ext2 -O uninit_bg")),
    "meta groups": ("ext4", foreign(8192, "mke2fs -q -t ext2 -O meta_bg,^resize_inode")),
    "revision 0": ("revision 0", foreign(8192, "mke2fs -q -t ext2 -r 0")),
    "a journal to be replayed": ("recovery", lambda: by_debugfs("ext3", "feature +needs_recovery")),
    "mounted ext2": ("not unmounted", lambda: by_debugfs("ext2-2k", "ssv state 0")),
    "ext2 with errors": ("has errors", lambda: by_debugfs("ext2-2k", "ssv state 3")),
    "ext2 with orphans": ("has errors", lambda: by_debugfs("ext2-2k", "ssv last_orphan 12")),
    "mounted FAT": ("not unmounted", lambda: patched(made("fat12"), 37, b"\x01")),
    "FAT16 with errors": ("has errors", fat16_with_errors),
    "other tables": ("tables differ", lambda: patched(made("floppy"), 512 + 20, b"\x00")),
    "less of FAT": ("damaged", lambda: made("fat16")[:-512]),
    "less of ext2": ("damaged", lambda: made("ext2-1k")[:-1024]),
    "a lost inode": ("damaged", lambda: by_debugfs("ext2-2k", "unlink /SHORT+.TXT")),
    "a free block in use": ("damaged", lambda: by_debugfs("ext2-2k", "freeb 1")),
    "a loop": ("damaged", lambda: by_debugfs("ext2-2k", "ln /some+dir /some+dir/loop")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_why_and_what_else_there_is(case: str) -> None:
    words, make = REFUSED[case]
    image = make()
    with pytest.raises(UnsupportedError, match=words) as caught:
        put_files(image, OURS)
    assert caught.value.code == "image-not-replaceable"
    assert '"mount"' in caught.value.hint
    with pytest.raises(UnsupportedError, match=words):
        read_file(image, "any")


def test_what_stands_in_the_way_of_a_name(tmp_path: Path) -> None:
    link = by_debugfs("ext2-2k", "symlink /files SHORT+.TXT")
    with pytest.raises(UnsupportedError, match="'files' is not a directory"):
        put_files(link, OURS)
    for name in ("fat16", "ext2-2k"):
        image = put_files(made(name), {"a/b": b""})
        with pytest.raises(UnsupportedError, match="'a' is a directory"):
            put_files(image, {"a": b""})
        with pytest.raises(UnsupportedError, match="'b' is not a directory"):
            put_files(image, {"a/b/c": b""})
        for files, remove in (({"../a": b""}, []), ({}, ["a b"]), ({"a": b"", "A": b""}, [])):
            with pytest.raises(InvalidError, match="medium file"):
                put_files(image, files, remove)


# --- hostile images ------------------------------------------------------------------------------


@functools.cache
def small(name: str) -> tuple[bytes, list[int]]:
    """An image, and where it is not zero, which is where flipped bits matter."""
    files = {"a/b": b"x" * 9000, "a/c": b"y", "bootparams.conf": b"1"}
    image = put_files(blank(DISKS[name]), files)
    return image, [at for at, byte in enumerate(image) if byte]


MORE = {"a/b": b"z" * 20_000, "d/e": b"1"}


@st.composite
def hostile(draw: st.DrawFn, name: str) -> bytes:
    image, places = small(name)
    changed = bytearray(image)
    at = st.one_of(st.sampled_from(places), st.integers(0, 8191))
    for place in draw(st.lists(at, min_size=1, max_size=4)):
        changed[place] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.sampled_from([len(image)] * 9 + [0, 511, 1500, 30_000]))])


def put_or_refused(image: bytes, files: Mapping[str, bytes]) -> bytes | None:
    try:
        changed = put_files(image, files, remove=["a/c"])
    except (UnsupportedError, InvalidError) as error:
        if error.code in ("image-not-replaceable", "context-too-large"):
            return None
        raise
    assert len(changed) == len(image)
    return changed


def is_clean(disk: Disk, image: bytes) -> bool:
    try:
        read_back(disk.carrier, image)
    except (AssertionError, OSError):
        return False
    return True


@pytest.mark.parametrize("name", ["floppy", "ext2-small-groups"])
def test_a_hostile_image_is_changed_or_refused(name: str) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(image=hostile(name))
    def check(image: bytes) -> None:
        changed = put_or_refused(image, MORE)
        if changed is not None and is_clean(DISKS[name], image):
            assert is_clean(DISKS[name], changed)

    check()


@settings(max_examples=100, deadline=None)
@given(
    head=st.sampled_from(sorted(DISKS)).map(lambda name: made(name)[:2048]),
    rest=st.binary(max_size=4096),
    size=st.sampled_from([0, 4096, 100_000]),
)
def test_nonsense_is_refused(head: bytes, rest: bytes, size: int) -> None:
    assert put_or_refused(rest, MORE) is None
    assert put_or_refused(head + rest * (size // (len(rest) + 1)), MORE) is None
