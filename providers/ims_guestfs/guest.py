"""The system in an image: which one it is, where its file systems belong, and its accounts.

All of it was written by the guest, so that nothing is believed but its form.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_guestfs.guestfish import GuestfishError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ims_guestfs.guestfish import Guestfish

__all__ = ["LARGEST_ID", "accounts", "allow_writing", "mount", "parse_accounts", "uses_selinux"]

LARGEST_ID = (1 << 31) - 1
"""The largest number of an owner that libguestfs takes."""

_DEVICE = r"(?:btrfsvol:)?/dev/[!-~]+"
_ROOT = re.compile(_DEVICE)
_MOUNTPOINT = re.compile(rf"(/[!-~]*): ({_DEVICE})")
_MOST_ACCOUNTS = 1 << 20
"""Bytes of a file of accounts."""
_ACCOUNT = re.compile(r"([a-z_][a-z0-9_-]{0,31}):[^:]*:([0-9]{1,10}):.*")


def mount(fish: Guestfish) -> Sequence[str]:
    """Find the one system in the image, and mount its file systems where they belong.

    They can only be read, so that an image is as it was when something in it is refused.

    Returns:
        The directories, for :func:`allow_writing`.

    Raises:
        GuestfishError: There is none or more than one, it is not Linux, or one of its file systems
            cannot be mounted: a file could come to lie below it, where the guest never sees it.
    """
    root = _only_system(fish)
    if (kind := fish.ask("inspect-get-type", root)) != "linux":
        raise GuestfishError(f"its system is {kind!r}, and only Linux is understood")
    fish.ask("mount-ro", root, "/")
    below = sorted(_mountpoints(fish, root).items())  # what is deeper comes later
    for place, device in below:
        try:
            fish.ask("mount-ro", device, place)
        except GuestfishError as error:
            raise GuestfishError(f"{device} cannot be mounted on {place}: {error}") from error
    return "/", *(place for place, _device in below)


def allow_writing(fish: Guestfish, mounted: Sequence[str]) -> None:
    """Have the file systems mounted so that they can be written."""
    for place in mounted:
        fish.ask("remount", place, "rw:true")


def _only_system(fish: Guestfish) -> str:
    roots = fish.ask("inspect-os").splitlines()
    if len(roots) > 1:
        raise GuestfishError(f"there are {len(roots)} systems in it, where one was expected")
    if not roots:
        found = fish.ask("list-filesystems").splitlines()
        what = "a file system" if len(found) == 1 else f"{len(found)} file systems"
        raise GuestfishError(f"no system was found in it, but {what} without one")
    if not _ROOT.fullmatch(roots[0]):
        raise GuestfishError(f"its system is on {roots[0]!r}, which is no device")
    return roots[0]


def _mountpoints(fish: Guestfish, root: str) -> Mapping[str, str]:
    """Devices by directory, without the root's."""
    found = {}
    for text in fish.ask("inspect-get-mountpoints", root).splitlines():
        match = _MOUNTPOINT.fullmatch(text)
        if match is None or ".." in match[1].split("/"):
            raise GuestfishError(f"it mounts {text!r}, which is not understood")
        found[match[1]] = match[2]
    found.pop("/", None)
    return found


def accounts(fish: Guestfish, path: str) -> Mapping[str, int]:
    """Numbers by name, from the guest's ``/etc/passwd`` or ``/etc/group``."""
    if not fish.is_true("is-file", path, "followsymlinks:true"):
        return parse_accounts("")
    if int(fish.ask("filesize", path)) > _MOST_ACCOUNTS:
        raise GuestfishError(f"{path} is too long")
    return parse_accounts(fish.ask("cat", path))


def parse_accounts(text: str) -> Mapping[str, int]:
    """Numbers by name; of each name the first counts, as for the guest, and root is always 0.

    Args:
        text: As passwd(5) or group(5) say: of both, the name is the first field and its number the
            third. A line of another form is none.
    """
    found = {"root": 0}
    for match in _accounts_in(text):
        if (number := int(match[2])) <= LARGEST_ID:
            found.setdefault(match[1], number)
    return found


def _accounts_in(text: str) -> Iterator[re.Match[str]]:
    return filter(None, map(_ACCOUNT.fullmatch, text.split("\n")))


def uses_selinux(fish: Guestfish) -> bool:
    """Whether its files bear labels: it has a policy, and what loads one."""
    files = ("/etc/selinux/config", "/usr/sbin/load_policy")
    return all(fish.is_true("is-file", each, "followsymlinks:true") for each in files)
