"""Foreign programs that say what is on a disk: fsck, mtools, debugfs and blkid."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ims_core.models import Carrier
from tests.bootparams.helpers import run

if TYPE_CHECKING:
    from collections.abc import Callable


def needs(tool: str) -> str:
    path = shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        pytest.skip(f"{tool} is not installed")
    return path


def fat_files(image: Path, target: Path) -> None:
    run(needs("fsck.vfat"), "-n", image)
    target.mkdir()
    if run(needs("mdir"), "-i", image, "-b", "::"):
        run(needs("mcopy"), "-s", "-n", "-Q", "-i", image, "::*", target)


def ext2_files(image: Path, target: Path) -> None:
    run(needs("e2fsck"), "-f", "-n", image)
    target.mkdir()
    run(needs("debugfs"), "-R", f"rdump / {target}", image)
    (target / "lost+found").rmdir()


READERS: dict[Carrier, Callable[[Path, Path], None]] = {
    Carrier.FAT_DISK: fat_files,
    Carrier.EXT2_DISK: ext2_files,
}


def read_back(disk: Carrier, image: bytes) -> dict[str, bytes]:
    """Its files as a foreign reader sees them, after a checker found no fault."""
    with tempfile.TemporaryDirectory() as folder:
        path, tree = Path(folder, "x.img"), Path(folder, "tree")
        path.write_bytes(image)
        READERS[disk](path, tree)
        return {str(p.relative_to(tree)): p.read_bytes() for p in tree.rglob("*") if p.is_file()}


def probed(image: bytes, tmp_path: Path) -> set[str]:
    path = tmp_path / "probed.img"
    path.write_bytes(image)
    return set(run(needs("blkid"), "-p", "-o", "export", path).decode().splitlines())
