"""The directory that stands for a hypervisor."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import CapacityError, HypervisorError, UnavailableError
from ims_core.models import Carrier, Resource
from ims_core.spi import Discarded
from ims_fake import FakeProvider
from ims_fake.directory import Directory
from ims_fake.guest import boot
from tests.fake.pools import settings_of

if TYPE_CHECKING:
    from pathlib import Path


def test_a_lock_that_is_never_given_back_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Directory(tmp_path)
    monkeypatch.setattr("ims_fake.directory.LOCK_SECONDS", 0.05)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError), directory.locked():
            pass
    finally:
        os.close(descriptor)
    with directory.locked():
        pass


def test_a_file_in_the_way_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be used"):
        FakeProvider.open(settings_of(tmp_path / "file"))


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "", ".hidden", "a/b"])
def test_no_name_leads_out_of_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(HypervisorError, match="not the name of a file"):
        Directory(tmp_path).path("volume", name)


def test_an_interrupted_write_is_discarded_with_its_file(tmp_path: Path) -> None:
    provider = FakeProvider.open(settings_of(tmp_path))
    half = tmp_path / "seeds" / "web01-0123.iso.tmp"
    half.write_bytes(b"half")
    assert provider.discard(Resource("seed", "web01-0123.iso", "0123")) is Discarded.REMOVED
    assert not half.exists()


def test_a_copy_of_a_sparse_file_holds_the_same_and_stays_sparse(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "pool")
    source, size = tmp_path / "source", 16 << 20
    with source.open("wb") as file:
        for at in (0, 4 << 20):
            file.seek(at)
            file.write(b"data")
        file.truncate(size)
    made, replaced = directory.path("volume", "made"), directory.path("volume", "replaced")
    directory.copy(source, made, size)
    replaced.write_bytes(b"before")
    directory.put_back(source, replaced)
    for copy in (made, replaced):
        assert copy.read_bytes() == source.read_bytes()
        assert copy.stat().st_blocks * 512 < size // 4
    with pytest.raises(CapacityError):
        directory.copy(source, directory.path("volume", "more"), size)


def test_files_are_for_their_owner_only(pool: Path) -> None:
    for path in pool.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_guest_without_a_medium_says_so_and_does_not_answer() -> None:
    for medium in (b"", b"\x00" * 100_000):
        answer = boot("web01", medium, Carrier.ISO, "good", {})
        assert answer.receipt is None
        assert "cannot read its context" in answer.console[-1]
