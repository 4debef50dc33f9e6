"""OVA files made by an attacker, or damaged: refused with a reason, and nothing else happens."""

from __future__ import annotations

import os
import tarfile
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ims_core.errors import ImageError
from ims_images import inspect_image
from tests.images.appliances import (
    DISK,
    FILE,
    MEDIUM,
    changed,
    manifest,
    member,
    ovf,
    packed,
)

if TYPE_CHECKING:
    from pathlib import Path

RAW = bytes(range(256)) * 8
GOOD = {"web.ovf": ovf(), DISK: RAW}
SECOND = '<File ovf:id="file2" ovf:href="second.vmdk"/>'
BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x" * 10}">' for n in range(12))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "web.ova"


def refused(path: Path, data: bytes, declared: str = "ova") -> ImageError:
    path.write_bytes(data)
    started = time.monotonic()
    with pytest.raises(ImageError) as caught:
        inspect_image(path, declared=declared)
    assert time.monotonic() - started < 5
    assert path.name in caught.value.message
    assert caught.value.message.isprintable()
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name]
    return caught.value


def test_what_all_others_are_made_of_is_good(path: Path) -> None:
    path.write_bytes(packed(GOOD))
    assert inspect_image(path).virtual_size == len(RAW)


@pytest.mark.parametrize(
    ("descriptor", "word"),
    [
        (b"no XML", "XML"),
        (b"", "XML"),
        (b"<a>" * 100_000, "XML"),
        (ovf(before=f"<!DOCTYPE x [{BOMB}]>", files=f"{FILE}&e11;"), "XML"),
        (ovf(before='<!DOCTYPE x [<!ENTITY e SYSTEM "/etc/passwd">]>', files=f"{FILE}&e;"), "XML"),
        (ovf(before='<!DOCTYPE x SYSTEM "/etc/passwd">'), "DTD"),
        (ovf(namespace="http://www.vmware.com/schema/ovf/1/envelope"), "version"),
        (ovf(disks=""), "0 disks"),
        (ovf(disks=MEDIUM * 2), "2 disks"),
        (ovf(disks=MEDIUM.replace("ovf:fileRef", 'ovf:parentRef="x" ovf:fileRef')), "parent"),
        (ovf(files=""), "which file"),
        (ovf(files=FILE * 2), "which file"),
        (ovf(files=FILE.replace("/>", ' ovf:compression="gzip"/>')), "compressed"),
        (ovf(files=FILE.replace("/>", ' ovf:chunkSize="4096"/>')), "pieces"),
    ],
    ids=[
        "text",
        "nothing",
        "deep",
        "billion-laughs",
        "external-entity",
        "external-dtd",
        "draft",
        "no-disk",
        "two-disks",
        "a-delta",
        "no-file",
        "two-files",
        "gzip",
        "chunks",
    ],
)
def test_a_descriptor_must_say_which_its_one_disk_is(
    path: Path, descriptor: bytes, word: str
) -> None:
    error = refused(path, packed({"web.ovf": descriptor, DISK: RAW}))
    assert error.code == "image-format-unsupported"
    assert word in error.message


def test_a_descriptor_is_not_endless(path: Path) -> None:
    long = ovf() + b" " * (5 << 20)
    assert refused(path, packed({"web.ovf": long, DISK: RAW})).code == "image-too-large"


@pytest.mark.parametrize(
    "href",
    [
        "missing.vmdk",
        "/etc/passwd",
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "./web-disk001.vmdk",
        "file:///etc/passwd",
        "https://192.0.2.1/x.vmdk",
        "",
        "web.mf",
    ],
)
def test_the_disk_is_in_the_archive(path: Path, href: str) -> None:
    error = refused(path, packed({"web.ovf": ovf(files=FILE.replace(DISK, href)), DISK: RAW}))
    assert error.code == "image-member-missing"


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "a/b", "./x", "a\\b", "..", ".", "", "x\n", "x\x1b[2J", "WEB.OVF", DISK],
)
def test_a_member_is_a_plain_file_of_its_own(path: Path, name: str) -> None:
    evil = changed(member("x"), (0, name.encode().ljust(100, b"\0")))
    data = packed(GOOD)[:-1024] + evil + bytes(1024)
    assert refused(path, data).code == "image-member-unsafe"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, b"S", b"L"])
def test_links_folders_and_sparse_files_are_none(path: Path, kind: bytes) -> None:
    evil = member("link.vmdk", type=kind, linkname="/etc/passwd")
    assert refused(path, packed(GOOD)[:-1024] + evil + bytes(1024)).code == "image-member-unsafe"


def test_a_folder_is_none_either(path: Path) -> None:
    for name, kind in (("folder", b"5"), ("folder/", b"5"), ("folder/", b"0")):
        evil = changed(member("x"), (0, name.encode().ljust(100, b"\0")), (156, kind))
        error = refused(path, packed(GOOD)[:-1024] + evil + bytes(1024))
        assert error.code == "image-member-unsafe"


def test_the_descriptor_comes_first(path: Path) -> None:
    for members in ({DISK: RAW, "web.ovf": ovf()}, {"a.txt": b"x"}):
        error = refused(path, packed(members), "")
        assert error.code == "image-format-unsupported"
        assert ".ovf" in error.message


def test_its_disk_is_inspected_like_any_other(path: Path) -> None:
    for content, code in (
        (b"", "image-empty"),
        (b"x" * 513, "image-size-unaligned"),
        (b"KDMV".ljust(4096, b"\0"), "image-format-unknown"),
        (b'# Disk DescriptorFile\nRW 8 FLAT "/etc/passwd" 0\n', "image-format-unsupported"),
        (b"QFI\xfb\0\0\0\3".ljust(4096, b"\0"), "image-format-unsupported"),
        (b"\x1f\x8b\x08".ljust(4096, b"\0"), "image-format-unsupported"),
        (packed(GOOD), "image-format-unsupported"),
    ):
        error = refused(path, packed({"web.ovf": ovf(), DISK: content}))
        assert error.code == code
        assert DISK in error.message


FULL = manifest(GOOD)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nothing like it\n",
        manifest({"web.ovf": ovf()}),
        manifest({DISK: RAW}),
        manifest({**GOOD, DISK: b"other"}),
        FULL + manifest({"missing.txt": b"x"}),
        FULL + FULL,
        FULL.replace(b"SHA256", b"MD5"),
        FULL.replace(b"SHA256", b"SHA512"),
        FULL[:-8],
    ],
    ids=[
        "empty",
        "text",
        "without-the-disk",
        "without-the-descriptor",
        "another-disk",
        "a-missing-member",
        "twice",
        "md5",
        "another-kind",
        "cut",
    ],
)
def test_a_manifest_must_be_right(path: Path, text: bytes) -> None:
    error = refused(path, packed({**GOOD, "web.mf": text}))
    assert error.code == "image-corrupt"
    assert "manifest" in error.message


@pytest.mark.parametrize("length", [1, 512, 1024, 1025, 2048, 3000])
def test_what_is_cut_short_is_noticed(path: Path, length: int) -> None:
    whole = packed(GOOD)
    assert refused(path, whole[:-length]).code in {"image-truncated", "image-corrupt"}


def test_a_size_is_believed_only_as_far_as_there_are_bytes(path: Path) -> None:
    huge = changed(member(DISK, RAW), (124, b"\x80" + (60 << 40).to_bytes(11, "big")))
    assert refused(path, member("web.ovf", ovf()) + huge + bytes(1024)).code == "image-truncated"


def test_a_member_of_holes_takes_no_time(path: Path) -> None:
    size = 32 << 30
    head = changed(member(DISK), (124, b"\x80" + size.to_bytes(11, "big")))
    path.write_bytes(member("web.ovf", ovf()) + head)
    os.truncate(path, path.stat().st_size + size + 1024)
    started = time.monotonic()
    assert inspect_image(path).virtual_size == size
    assert time.monotonic() - started < 5


@given(
    changes=st.lists(
        st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=12)),
        min_size=1,
        max_size=3,
    ),
    cut=st.integers(0, 2048),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_damage_is_noticed_and_nothing_else_happens(
    path: Path, changes: list[tuple[int, bytes]], cut: int
) -> None:
    data = bytearray(packed({**GOOD, "web.mf": FULL}))
    for place, value in changes:
        start = place % len(data)
        data[start : start + len(value)] = value
    path.write_bytes(data[: len(data) - cut])
    try:
        info = inspect_image(path, declared="ova")
    except ImageError as error:
        assert error.message.isprintable()  # noqa: PT017 - it is noticed
    else:  # bytes that nothing depends on, such as an owner
        assert info.virtual_size == len(RAW)
