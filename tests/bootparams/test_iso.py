from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from pycdlib import headervd

from ims_bootparams.media.iso import _pinned_clock, build_iso
from ims_core.errors import InvalidError
from tests.bootparams.helpers import run

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "bootparams.conf": b"IMS_FORMAT='1'\n",
    "ims.nonce": b"n-1\n",
    "files/0000": bytes(range(256)) * 20,
    "files/0001": b"",
    "a/b/c/d/e/f/g": b"deep",
    "Mixed.Case-name_with.dots.and.more.than.thirty.characters": b"long",
}


def needs(tool: str) -> str:
    path = shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        pytest.skip(f"{tool} is not installed")
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "x.iso"
    path.write_bytes(build_iso(FILES, "IMS"))
    return path


def test_xorriso_reads_every_file_back(image: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    run(needs("xorriso"), "-osirrox", "on", "-indev", image, "-extract", "/", tree)
    found = {str(p.relative_to(tree)): p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    assert found == FILES


@pytest.mark.parametrize("names", ["-R", "-J"], ids=["Rock Ridge", "Joliet"])
def test_isoinfo_reads_every_file_back(image: Path, names: str) -> None:
    isoinfo = needs("isoinfo")
    assert {name: run(isoinfo, names, "-x", f"/{name}", "-i", image) for name in FILES} == FILES


def test_only_root_may_read_the_files(image: Path) -> None:
    listing = run(needs("isoinfo"), "-R", "-l", "-i", image).decode()
    files = [line for line in listing.splitlines() if line.startswith("-")]
    assert len(files) == len(FILES)
    assert all(line.startswith("-r--------") and line.split()[2:4] == ["0", "0"] for line in files)


@pytest.mark.parametrize("label", ["IMS", "cidata", "config-2", "CONTEXT_sixteen1"])
def test_blkid_sees_the_label_as_it_was_given(tmp_path: Path, label: str) -> None:
    path = tmp_path / "x.iso"
    path.write_bytes(build_iso({"a": b"b"}, label))
    seen = run(needs("blkid"), "-p", "-o", "export", path).decode().splitlines()
    assert {f"LABEL={label}", "TYPE=iso9660"} <= set(seen)


def test_equal_input_gives_equal_bytes_at_any_time_and_in_any_order_and_time_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = build_iso(FILES, "IMS")
    later = time.time() + 100_000_000
    monkeypatch.setattr(time, "time", lambda: later)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        again = build_iso(dict(reversed(FILES.items())), "IMS")
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert again == first


def test_source_date_epoch_dates_the_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    path = tmp_path / "x.iso"
    path.write_bytes(build_iso(FILES, "IMS"))
    seen = run(needs("blkid"), "-p", "-o", "export", path).decode().splitlines()
    assert "UUID=2023-11-14-22-13-20-00" in seen


@pytest.mark.parametrize("text", ["soon", "-1", "1e9", "99999999999"])
def test_a_bad_source_date_epoch_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(InvalidError, match="SOURCE_DATE_EPOCH"):
        build_iso(FILES, "IMS")


def test_another_thread_s_pycdlib_keeps_the_real_time() -> None:
    clock: Any = vars(headervd)["time"]
    seen: list[float] = []
    with _pinned_clock(1.0):
        thread = threading.Thread(target=lambda: seen.append(clock.time()))
        thread.start()
        thread.join()
        assert clock.time() == 1.0
    assert abs(seen[0] - time.time()) < 60
    assert abs(clock.time() - time.time()) < 60
    assert clock.strftime is time.strftime


def test_threads_may_build_at_the_same_time() -> None:
    images: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: images.append(build_iso(FILES, "IMS"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(images) == 8
    assert set(images) == {build_iso(FILES, "IMS")}


def test_an_image_over_the_carrier_s_limit_is_refused_and_says_by_how_much() -> None:
    size = len(build_iso(FILES, "IMS"))
    assert len(build_iso(FILES, "IMS", limit=size)) == size
    with pytest.raises(InvalidError, match=rf"{size} bytes.*{size - 1}") as caught:
        build_iso(FILES, "IMS", limit=size - 1)
    assert "files/0000" in caught.value.hint
    assert caught.value.code == "context-too-large"


@pytest.mark.parametrize("label", ["", "a b", "é", "x" * 17, "a\n"])
def test_a_label_that_cannot_be_carried_is_refused(label: str) -> None:
    with pytest.raises(InvalidError, match="volume label"):
        build_iso(FILES, label)


def test_a_name_that_is_both_file_and_directory_is_refused() -> None:
    with pytest.raises(InvalidError, match="'a'"):
        build_iso({"a": b"", "a/b": b""}, "IMS")


def test_a_name_that_cannot_be_carried_is_refused() -> None:
    with pytest.raises(InvalidError, match="medium file"):
        build_iso({"a b": b""}, "IMS")
