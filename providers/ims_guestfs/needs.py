"""What must be installed on this machine before libguestfs can be used."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["unavailable"]

_BOOT = Path("/boot")
_MODULES = Path("/lib/modules")


def unavailable() -> str:
    """Why libguestfs cannot be used here, and what to install; empty when it can be."""
    if shutil.which("guestfish") is None:
        return "guestfish is not installed: install libguestfs-tools (Debian, Ubuntu)"
    if not any(map(_bootable, _MODULES.glob("*/modules.dep"))):
        return (
            f"libguestfs boots a kernel of this machine, and {_BOOT} and {_MODULES} have none that "
            "may be read: install linux-image-cloud-amd64 (Debian) or another kernel with its "
            "modules; Ubuntu lets only root read its own"
        )
    return ""


def _bootable(modules: Path) -> bool:
    """Whether the kernel of these modules is there, in one of the places where supermin looks."""
    release = modules.parent
    kernels = (release / "vmlinuz", _BOOT / f"vmlinuz-{release.name}")
    return any(os.access(each, os.R_OK) for each in kernels)
