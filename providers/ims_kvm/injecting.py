"""The disk of a domain that is off, for files to be put into it by libguestfs on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from defusedxml.ElementTree import fromstring

import ims_guestfs
from ims_core.errors import ConflictError, UnsupportedError
from ims_core.models import Finding
from ims_kvm.saved import refuse_suspended

if TYPE_CHECKING:
    import libvirt

__all__ = ["availability", "disk_of"]


def disk_of(domain: libvirt.virDomain) -> tuple[Path, str]:
    """The image of its first disk, and the image's format.

    Raises:
        ConflictError: ``vm-running`` or ``vm-suspended``.
        UnsupportedError: ``injection-unavailable``: also where the disk is not on this machine.
    """
    if domain.isActive():
        raise ConflictError(
            f"VM {domain.name()!r} is running",
            code="vm-running",
            vm=domain.name(),
            hint=f"`ims stop-vm {domain.name()}` first; --file of update-context tells it as it is",
        )
    refuse_suspended(domain)
    if _is_elsewhere(domain.connect().getURI()):
        raise _unavailable(domain, "its disk is on another machine", "run `ims` there")
    disk = fromstring(domain.XMLDesc()).find("devices/disk[@device='disk']")
    source, driver = (None, None) if disk is None else (disk.find("source"), disk.find("driver"))
    path = "" if source is None else source.get("file", "")
    if not path or driver is None or not driver.get("type"):
        raise _unavailable(domain, "its first disk is no file of a known format", "use a layout")
    return Path(path), driver.get("type", "")


def availability(uri: str, directory: Path) -> Finding:
    """Whether it can be done to images there, for ``ims check``; nobody needs to be able to."""
    if _is_elsewhere(uri):
        missing = "only on the hypervisor's own host"
    elif not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        missing = f"this user may not change the images in {directory}"
    else:
        missing = ims_guestfs.unavailable()
    return Finding("inject-files", f"unavailable: {missing}" if missing else "usable", ok=True)


def _is_elsewhere(uri: str) -> bool:
    return bool(urlsplit(uri).hostname)


def _unavailable(domain: libvirt.virDomain, problem: str, hint: str) -> UnsupportedError:
    return UnsupportedError(
        f"files cannot be put into VM {domain.name()!r}: {problem}",
        code="injection-unavailable",
        vm=domain.name(),
        hint=hint,
    )
