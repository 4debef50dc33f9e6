"""Where a guest lives that really runs: its folder, and how that is made ready.

.. code-block:: text

    guests/<uuid>/root/        what the guest takes for its machine; its disk
    guests/<uuid>/medium       a link to its delivery as files; empty if it is for another program
    guests/<uuid>/media/       where that lies
    guests/<uuid>/console      what the guest printed since its last start
    guests/<uuid>/power        which process it is; see the keeper
    guests/<uuid>/ims-context  the guest program
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from ims_bootparams import guest as programs
from ims_bootparams.layouts.bootparams import CONF_FILE
from ims_bootparams.receipt import RECEIPT_BYTES
from ims_fake import keeper
from ims_fake.directory import translated
from ims_fake.process import Process

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Place"]

_SYSTEM = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n",
    "etc/sudoers.d/README": "",
}
_NOT_ON_DISK = ("run", "sys")
_CONSOLE_BYTES = 1 << 20
_POWER_BYTES = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """One guest's folder.

    Attributes:
        folder: It is there from the first start on.
    """

    folder: Path

    @property
    def root(self) -> Path:
        """What the guest takes for its machine."""
        return self.folder / "root"

    @property
    def console(self) -> Path:
        """What the guest printed."""
        return self.folder / "console"

    def process(self) -> Process | None:
        """The guest's process, or the one that it had last."""
        return Process.parse(_end_of(self.folder / keeper.POWER, _POWER_BYTES))

    def receipt(self) -> bytes:
        """What the guest sent, as it sent it."""
        return _end_of(self.root / "run/ims/receipt", RECEIPT_BYTES)

    def printed(self) -> str:
        """The end of what it printed."""
        return _end_of(self.console, _CONSOLE_BYTES).decode(errors="replace")

    def power_up(self, macs: Iterable[str]) -> None:
        """Make the machine as it is when its power comes: with these cards, and /run empty."""
        with translated(f"cannot prepare {self.folder}"):
            if not self.root.exists():
                for name, content in _SYSTEM.items():
                    _write(self.root / name, content.encode())
            for name in _NOT_ON_DISK:
                _clear(self.root / name)
            for index, mac in enumerate(macs):
                _write(self.root / f"sys/class/net/eth{index}/address", f"{mac}\n".encode())
            _write(self.folder / "ims-context", programs.program())
            self.console.unlink(missing_ok=True)

    def insert(self, files: Mapping[str, bytes]) -> None:
        """Put a delivery where the guest looks for it, all of it at once.

        What is not for the guest program, such as cloud-init's, is not there for it.
        """
        name, link = uuid4().hex, self.folder / "medium"
        with translated(f"cannot write {link}"):
            medium = self.folder / "media" / name
            _make_folder(medium)
            for path, content in files.items() if CONF_FILE in files else ():
                _write(medium / path, content)
            temporary = self.folder / f"medium.{name}"
            temporary.symlink_to(f"media/{name}")
            temporary.replace(link)
            for each in self.folder.glob("media/*"):
                if each.name != name:
                    _clear(each)

    # --- all of it ---

    def pack(self) -> bytes:
        """The root as an archive; empty if there is none."""
        content = io.BytesIO()
        with translated(f"cannot read {self.root}"), suppress(FileNotFoundError):
            if self.root.exists():
                with tarfile.open(fileobj=content, mode="w") as archive:
                    archive.add(self.root, self.root.name)
        return content.getvalue()

    def unpack(self, content: bytes) -> None:
        """Put such an archive in place of the root."""
        with translated(f"cannot write {self.root}"):
            _clear(self.root)
            if content:
                with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                    archive.extractall(self.folder, filter="tar")

    def copy_disk(self, target: Place) -> None:
        """Copy the root, but for what is gone when the power is."""

        def gone(folder: str, _names: list[str]) -> tuple[str, ...]:
            return _NOT_ON_DISK if folder == str(self.root) else ()

        with translated(f"cannot copy {self.root}"):
            if self.root.exists():
                shutil.copytree(self.root, target.root, symlinks=True, ignore=gone)

    def remove(self) -> None:
        """Remove the folder."""
        with translated(f"cannot remove {self.folder}"):
            _clear(self.folder)


def _end_of(path: Path, size: int) -> bytes:
    """The end of a file, however large; nothing if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(max(0, os.fstat(descriptor).st_size - size))
        return file.read(size)


def _write(path: Path, content: bytes) -> None:
    """Make a file that is its owner's alone, and its folders."""
    _make_folder(path.parent)
    descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _make_folder(path: Path) -> None:
    """Make a folder and those above it; `mkdir` would give the latter to everybody."""
    if not path.exists():
        _make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def _clear(path: Path) -> None:
    """Remove a tree, or a link instead of it; never what a link leads to."""
    if path.is_symlink():
        path.unlink()
    else:
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
