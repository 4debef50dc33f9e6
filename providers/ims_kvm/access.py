"""Whether QEMU may use the files of a storage pool on this very host, as ``check`` asks.

libvirt runs QEMU as a user of its own and, where AppArmor is on, under a profile that its helper
writes. Both show only when a VM is started, by an error that blames the file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from defusedxml.ElementTree import fromstring

from ims_core.models import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    import libvirt

__all__ = ["check_access"]

_ACL = "system.posix_acl_access"
_CLOSED = ("/bin", "/etc", "/lib", "/lost+found", "/proc", "/sbin", "/sys", "/usr/bin", "/usr/lib")
"""Where libvirt's virt-aa-helper permits no disk (its function ``valid_path``)."""


def check_access(connection: libvirt.virConnect, path: str) -> Iterator[Finding]:
    """What keeps QEMU from the files in a directory; nothing for a libvirt on another host."""
    place = urlsplit(connection.getURI())
    if place.hostname or place.path != "/system":
        return
    models = fromstring(connection.getCapabilities()).findall("host/secmodel")
    labels = {each.findtext("model"): each.findtext("baselabel") or "" for each in models}
    if (user := _user(labels.get("dac", ""))) and (closed := _closed_to(Path(path), *user)):
        yield Finding(
            f"directory {closed}",
            f"QEMU's user (uid {user[0]}, gid {user[1]}) may not enter it, so no VM can start",
            f"chmod o+x {closed}",
        )
    if "apparmor" in labels and any(f"{path}/".startswith(f"{each}/") for each in _CLOSED):
        yield Finding(
            f"directory {path}",
            "AppArmor's profile for QEMU permits no disk there",
            "give the pool another storage_path, as /var/lib/libvirt/images",
        )


def _user(label: str) -> tuple[int, int] | None:
    """The user and group out of libvirt's ``+UID:+GID``."""
    uid, _, gid = label.partition(":")
    try:
        return int(uid), int(gid)
    except ValueError:
        return None


def _closed_to(path: Path, uid: int, gid: int) -> Path | None:
    """The first directory on the way that a user may not enter, as far as its mode tells."""
    if uid == 0:
        return None
    for each in (*reversed(path.parents), path):
        try:
            found = each.stat()
            if _ACL in os.listxattr(each):
                continue  # it may be let in by name
        except OSError:
            return None  # it cannot be seen from here
        bit = stat.S_IXOTH
        if found.st_uid == uid:
            bit = stat.S_IXUSR
        elif found.st_gid == gid:
            bit = stat.S_IXGRP
        if not found.st_mode & bit:
            return each
    return None
