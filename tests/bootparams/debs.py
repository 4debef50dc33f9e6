"""Programs out of Debian's packages that are no part of this machine: unpacked, not installed."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.labs import cache

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["unpacked"]


def unpacked(name: str, *packages: str) -> Path:
    """The directory with the packages' files.

    Raises:
        OSError, SubprocessError: They cannot be had.
    """
    return cache.entry(name, cache.key(*packages), lambda work: _unpack(work, packages))


def _unpack(directory: Path, packages: tuple[str, ...]) -> None:
    debs = directory / "debs"
    debs.mkdir()
    command = ["apt-get", "download", *packages]
    subprocess.run(command, cwd=debs, check=True, timeout=120, capture_output=True)
    for deb in debs.iterdir():
        subprocess.run(["dpkg-deb", "-x", deb, directory], check=True, capture_output=True)
    shutil.rmtree(debs)
