"""Disks of guests made by mke2fs, and read by debugfs: neither knows of libguestfs."""

from __future__ import annotations

import re
import shutil
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.labs.commands import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECTOR = 512
FIRST = 2048
"""Sector at which the first partition begins."""

SYSTEM: Mapping[str, str] = {
    "etc/debian_version": "12.5\n",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12"\nVERSION_ID="12"\nID=debian\n',
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    "etc/hostname": "template\n",
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nweb:x:1001:1002::/home/web:/bin/sh\n",
    "etc/group": "root:x:0:\nweb:x:1002:\nadm:x:4:web\n",
    "bin/sh": "",
    "boot/kernel": "",
    "usr/bin/env": "",
    "var/log/log": "",
    "home/web/old": "old\n",
}
"""What inspection knows a Debian system by."""


@dataclass(frozen=True, slots=True)
class Found:
    """What debugfs says of a file."""

    kind: str
    mode: int
    owner: tuple[int, int]


def tree(folder: Path, files: Mapping[str, str], links: Mapping[str, str] | None = None) -> Path:
    """A directory with these files and symbolic links."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, target in (links or {}).items():
        (folder / name).symlink_to(target)
    return folder


def disk(path: Path, content: Path, megabytes: int = 24) -> Path:
    """A file system that is a whole disk."""
    path.unlink(missing_ok=True)
    run("mke2fs", "-q", "-t", "ext4", "-d", content, path, f"{megabytes}M")
    return path


def partitioned(path: Path, *parts: Path) -> Path:
    """A disk with these file systems in partitions, and the table of an old BIOS."""
    table = bytearray(SECTOR)
    table[510:] = b"\x55\xaa"
    start = FIRST
    with path.open("wb") as file:
        for number, part in enumerate(parts):
            length = part.stat().st_size // SECTOR
            entry = struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), start, length)
            table[446 + 16 * number : 462 + 16 * number] = entry
            file.seek(start * SECTOR)
            with part.open("rb") as content:
                shutil.copyfileobj(content, file)
            start += length
        file.seek(0)
        file.write(table)
    return path


@dataclass(frozen=True, slots=True)
class Reader:
    """The file system that begins at a sector of a raw disk."""

    disk: Path
    sector: int = 0

    def _ask(self, request: str) -> str:
        return run("debugfs", "-R", request, f"{self.disk}?offset={self.sector * SECTOR}")

    def names(self, folder: str) -> set[str]:
        rows = self._ask(f"ls -p {folder}").splitlines()
        return {row.split("/")[5] for row in rows if row.startswith("/")} - {".", ".."}

    def content(self, path: str, into: Path) -> bytes:
        self._ask(f'dump "{path}" {into}')
        return into.read_bytes()

    def stat(self, path: str) -> Found | None:
        text = self._ask(f'stat "{path}"')
        pattern = r"Type: (\S+)\s+Mode:\s+(\d+).*?User:\s+(\d+)\s+Group:\s+(\d+)"
        match = re.search(pattern, text, re.DOTALL)
        if match is None:
            return None
        return Found(match[1], int(match[2], 8), (int(match[3]), int(match[4])))
