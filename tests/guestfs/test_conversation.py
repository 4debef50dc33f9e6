"""What guestfish is asked and given, and what becomes of what it says; by one that is pretended."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import DeadlineError, HypervisorError, InvalidError, UnsupportedError
from ims_core.models import File
from ims_guestfs import inject, needs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.guestfs.conftest import Pretended

IMAGE = Path("/images/a b.qcow2")
SECRET = File("/etc/key", b"hunter2\0\xff", 0o4600, "web:6")


def injected(*files: File, seconds: float = 30) -> None:
    inject(IMAGE, "qcow2", files, accelerated=False, timeout=seconds)


def refused(*files: File, seconds: float = 30) -> HypervisorError:
    with pytest.raises(HypervisorError) as caught:
        injected(*files, seconds=seconds)
    return caught.value


def test_each_file_is_written_beside_its_place_and_renamed_when_all_are_there(
    pretended: Pretended,
) -> None:
    injected(SECRET, File("/etc/new/deep/x", b""))
    start = pretended.asked.index('-remount "/" "rw:true"')
    assert pretended.asked[start:] == [
        '-remount "/" "rw:true"',
        '-mkdir-p "/etc/new/deep"',
        '-umask "0077"',
        '-rm-f "/etc/.ims-new-0"',
        *_uploaded(pretended, "/etc/.ims-new-0", SECRET.content),
        '-chown "5" "6" "/etc/.ims-new-0"',
        '-chmod "04600" "/etc/.ims-new-0"',
        '-rm-f "/etc/new/deep/.ims-new-1"',
        *_uploaded(pretended, "/etc/new/deep/.ims-new-1", b""),
        '-chown "0" "0" "/etc/new/deep/.ims-new-1"',
        '-chmod "0644" "/etc/new/deep/.ims-new-1"',
        "-sync",
        '-rename "/etc/.ims-new-0" "/etc/key"',
        '-rename "/etc/new/deep/.ims-new-1" "/etc/new/deep/x"',
        "-shutdown",
    ]


def _uploaded(pretended: Pretended, path: str, content: bytes) -> list[str]:
    sent = next(each for each in pretended.asked if each.startswith("-upload"))
    return [f'{sent.rpartition(" ")[0]} "{path}"', f"  {content!r}"]


def test_the_format_is_given_and_the_file_systems_are_mounted_from_the_root_on(
    pretended: Pretended,
) -> None:
    mounts = "/srv/a: /dev/sdb2\n/: /dev/sda9\n/srv: btrfsvol:/dev/sda3/@srv\n/boot: /dev/vg/boot\n"
    pretended.answers({"inspect-get-mountpoints": mounts})
    injected(SECRET)
    assert pretended.asked[:2] == ['-add-drive "/images/a b.qcow2" "format:qcow2"', "launch"]
    assert [each for each in pretended.asked if "mount" in each.partition(" ")[0]] == [
        '-mount-ro "/dev/sda1" "/"',
        '-inspect-get-mountpoints "/dev/sda1"',
        '-mount-ro "/dev/vg/boot" "/boot"',
        '-mount-ro "btrfsvol:/dev/sda3/@srv" "/srv"',
        '-mount-ro "/dev/sdb2" "/srv/a"',
        *(f'-remount "{place}" "rw:true"' for place in ("/", "/boot", "/srv", "/srv/a")),
    ]


@pytest.mark.parametrize("accelerated", [False, True])
def test_it_gets_no_arguments_and_nothing_of_our_environment(
    pretended: Pretended, monkeypatch: pytest.MonkeyPatch, *, accelerated: bool
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.setenv("LIBGUESTFS_DEBUG", "1")
    monkeypatch.setenv("HOME", "/root")
    inject(IMAGE, "raw", [SECRET], accelerated=accelerated, timeout=30)
    words = dict(each.split("=", 1) for each in pretended.kept("environment"))
    assert pretended.kept("arguments") == []
    assert words.pop("PATH") == os.environ["PATH"]
    assert words.pop("TMPDIR") == words.pop("XDG_RUNTIME_DIR")
    emulated = {} if accelerated else {"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
    assert words == {
        "LC_ALL": "C",
        "LIBGUESTFS_BACKEND": "direct",
        "LIBGUESTFS_CACHEDIR": "/var/tmp",
        **emulated,
    }


def test_contents_are_in_no_file_of_this_machine(pretended: Pretended) -> None:
    injected(SECRET)
    sent = next(each for each in pretended.asked if each.startswith("-upload"))
    assert sent.split('"')[1].startswith("/proc/self/fd/")
    assert "hunter2" not in "".join(each for each in pretended.asked if each[0] != " ")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"inspect-os": ""}, "no system was found in it, but a file system without one"),
        ({"inspect-os": "", "list-filesystems": "/dev/sda1: a\n/dev/sda2: b\n"}, "2 file systems"),
        ({"inspect-os": "/dev/sda1\n/dev/sda2\n"}, "there are 2 systems"),
        ({"inspect-os": "../etc\n"}, "which is no device"),
        ({"inspect-get-type": "windows\n"}, "its system is 'windows'"),
        ({"inspect-get-mountpoints": "/a: b\n"}, "it mounts '/a: b'"),
        ({"inspect-get-mountpoints": "/../a: /dev/sda2\n"}, "which is not understood"),
        ({"inspect-get-mountpoints": "/a\x1b[2J: /dev/sda2\n"}, r"\\x1b"),
        (
            {"inspect-get-mountpoints": "/a: /dev/vdb\n", 'mount-ro "/dev/vdb"': "error: no\n"},
            "/dev/vdb cannot be mounted on /a: no",
        ),
        ({"filesize": f"{2 << 20}\n"}, "/etc/passwd is too long"),
        ({"cat": "endless"}, "the answer is too long"),
        ({"realpath": "error: \x1b[2J\u202e\xff\n"}, r"\\x1b\[2J\\u202e"),
        ({"inspect-os": "ends"}, "ended without a word"),
        ({"inspect-os": f"ends{'x' * 9999}"}, "x{300}$"),
    ],
)
def test_a_guest_that_is_not_understood_is_refused_before_anything_is_written(
    pretended: Pretended, said: dict[str, str], why: str
) -> None:
    pretended.answers({"list-filesystems": "/dev/sda: ext4\n", **said})
    error = refused(SECRET)
    assert error.code == "image-unreadable"
    assert str(error).startswith(f"no files can be put into '{IMAGE}': ")
    assert re.search(why, str(error))
    assert _written(pretended) == []


def _written(pretended: Pretended) -> list[str]:
    writing = ("-remount", "-upload", "-rename", "-mkdir", "-touch", "-rm", "-ch")
    return [each for each in pretended.asked if each.startswith(writing)]


@pytest.mark.parametrize("said", [{"add-drive": "error: no\n"}, {"launch": "endserror: no\n"}])
def test_a_machine_that_does_not_start_is_told(pretended: Pretended, said: dict[str, str]) -> None:
    pretended.answers(said)
    error = refused(SECRET)
    assert error.code == "injection-not-started"
    assert "no" in str(error)
    assert "qemu-img info -f qcow2" in error.hint


@pytest.mark.parametrize("step", ["upload", "chown", "chmod", "sync", 'rename "/etc/.ims-new-0"'])
def test_what_cannot_be_written_leaves_nothing_behind(pretended: Pretended, step: str) -> None:
    pretended.answers({step: "error: write: No space left on device\n"})
    error = refused(SECRET, File("/etc/x", b"x"))
    assert error.code == "injection-failed"
    assert "0 of 2 files" in str(error)
    assert "No space left on device" in str(error)
    assert error.details == ()
    assert pretended.asked[-3:] == [
        '-rm-f "/etc/.ims-new-0"',
        '-rm-f "/etc/.ims-new-1"',
        "-shutdown",
    ]


def test_what_is_in_place_already_is_told_where_another_failed(pretended: Pretended) -> None:
    pretended.answers({'rename "/etc/.ims-new-1"': "error: rename: Operation not permitted\n"})
    error = refused(SECRET, File("/etc/x", b"x"))
    assert error.details == ("/etc/key",)


def test_a_guest_with_selinux_is_told_to_label_its_files_anew(pretended: Pretended) -> None:
    pretended.answers({"is-file": "true\n"})
    injected(SECRET)
    touched = pretended.asked.index('-touch "/.autorelabel"')
    assert touched < pretended.asked.index('-rename "/etc/.ims-new-0" "/etc/key"')


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([File("etc/x", b"")], "files[0].path: 'etc/x' is not a plain path"),
        ([SECRET, File("/etc/../x", b"")], "files[1].path: '/etc/../x' is not a plain"),
        ([File("/etc/x/", b"")], "files[0].path: '/etc/x/' is not a plain path"),
        ([File("//x", b"")], "files[0].path: '//x' is not a plain path"),
        ([File("/a\0b", b"")], "files[0].path: '/a\\x00b' is not a plain path"),
        ([File("/a\ud800b", b"")], "files[0].path: '/a\\ud800b' is not a plain path"),
        ([File("/" + "x" * 256, b"")], "files[0].path: a part of it is too long"),
        ([File("/xxx" * 251, b"")], "files[0].path: it has 1004 bytes"),
        ([File("/.ims-new-7", b"")], "files[0].path: files on their way into the guest"),
        ([File("/x", b"", 0o10000)], "files[0].mode: 0o10000 is not a mode"),
        ([File("/x", b"", owner="a b")], "files[0].owner: 'a b' is not an owner"),
    ],
)
def test_what_no_guest_could_take_is_refused_without_a_look_at_it(
    pretended: Pretended, files: Sequence[File], message: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        injected(*files)
    assert str(caught.value).startswith(message)
    assert caught.value.hint
    assert not (pretended.folder / "asked").exists()


def test_a_guest_cannot_pretend_that_an_answer_is_over(pretended: Pretended) -> None:
    pretended.answers({"cat": "repeatsweb:x:9:9::/:/bin/sh\n\n"})
    injected(File("/etc/x", b"", owner="web:0"))
    assert '-chown "9" "0" "/etc/.ims-new-0"' in pretended.asked


def test_the_time_is_bounded_whatever_it_hangs_at(pretended: Pretended) -> None:
    pretended.answers({"inspect-os": "hangs"})
    start = time.monotonic()
    with pytest.raises(DeadlineError) as caught:
        injected(SECRET, seconds=1)
    assert caught.value.code == "injection-timeout"
    assert time.monotonic() - start < 10
    (child,) = pretended.kept("child")
    assert not Path("/proc", child).exists()


def test_without_libguestfs_the_way_to_it_is_told(
    pretended: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not needs.unavailable()
    (tmp_path / "modules" / "6.1" / "vmlinuz").unlink()
    monkeypatch.setattr(needs, "_BOOT", tmp_path)
    with pytest.raises(UnsupportedError, match="linux-image-cloud-amd64") as caught:
        injected(SECRET)
    assert caught.value.code == "injection-unavailable"
    (tmp_path / "vmlinuz-6.1").touch()
    assert not needs.unavailable()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedError, match="install libguestfs-tools"):
        injected(SECRET)
