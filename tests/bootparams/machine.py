"""A machine's root with nothing in it but busybox, for scripts that are to change a machine."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.bootparams.helpers import run, write_files

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BUSYBOX", "machine"]

BUSYBOX = "/bin/busybox"


def machine(root: Path) -> Path:
    """Make it, or skip where that is not possible."""
    if os.geteuid() != 0:
        pytest.skip("only root may make a machine of namespaces")
    if not os.path.exists(BUSYBOX) or not _is_static(BUSYBOX):  # noqa: PTH110
        pytest.skip("there is no static busybox")
    write_files(
        root,
        {
            "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
            "etc/group": b"root:x:0:\n",
        },
    )
    for name in ("bin", "sys", "proc", "dev", "tmp"):
        (root / name).mkdir()
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for applet in run(BUSYBOX, "--list").decode().split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    os.mknod(root / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    return root


def _is_static(path: str) -> bool:
    file = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    return "not a dynamic executable" in file.stdout + file.stderr
