"""Injection: look at the guest, refuse what cannot be, write all under other names, rename."""

from __future__ import annotations

import posixpath
from contextlib import suppress
from typing import TYPE_CHECKING

from ims_core.errors import HypervisorError, UnsupportedError
from ims_guestfs import guest, places
from ims_guestfs.guestfish import GuestfishError, running
from ims_guestfs.needs import unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ims_core.models import File
    from ims_guestfs.guestfish import Guestfish
    from ims_guestfs.places import Place

__all__ = ["inject"]

_RELABEL = "/.autorelabel"
"""Tells an SELinux guest to label its files anew at its next start."""


def inject(
    image: Path, image_format: str, files: Sequence[File], *, accelerated: bool, timeout: float
) -> None:
    """Put files into the guest whose disk this is, all or none as far as that can be known before.

    Args:
        image: Used by nothing else meanwhile. Its header is trusted: QEMU opens the backing files
            that it names.
        image_format: ``raw``, ``qcow2`` or another name of QEMU's; never guessed.
        files: As in a context. Missing directories are made, a symbolic link is replaced.
        accelerated: Whether this machine's KVM works.
        timeout: Seconds for all of it.

    Raises:
        InvalidError: Naming the field that cannot be; nothing was written.
        UnsupportedError: ``injection-unavailable``.
        HypervisorError: ``injection-not-started``; ``image-unreadable``, where nothing was written;
            ``injection-failed``, with the paths that were put in place as details.
        DeadlineError: ``injection-timeout``.
    """
    places.check(files)
    if reason := unavailable():
        raise UnsupportedError(
            f"files cannot be put into {str(image)!r}: {reason}",
            code="injection-unavailable",
            hint="install it, or take a layout that delivers files to the running guest",
        )
    with running(accelerated=accelerated, timeout=timeout) as fish:
        _start(fish, image, image_format)
        try:
            mounted = guest.mount(fish)
            found = places.find(fish, files)
            relabel = guest.uses_selinux(fish)
        except GuestfishError as error:
            raise HypervisorError(
                f"no files can be put into {str(image)!r}: {error}",
                code="image-unreadable",
                hint="this needs a disk with one Linux system, not encrypted, and no other disk",
            ) from error
        _put(fish, image, mounted, found, relabel=relabel)


def _start(fish: Guestfish, image: Path, image_format: str) -> None:
    try:
        fish.ask("add-drive", str(image.absolute()), f"format:{image_format}")
        fish.launch()
    except GuestfishError as error:
        raise HypervisorError(
            f"libguestfs does not start with {str(image)!r}: {error}",
            code="injection-not-started",
            hint=f"see that no VM runs on it, that `qemu-img info -f {image_format}` reads it, and "
            "that `libguestfs-test-tool` succeeds",
        ) from error


def _put(
    fish: Guestfish, image: Path, mounted: Sequence[str], found: Sequence[Place], *, relabel: bool
) -> None:
    done: list[str] = []
    try:
        guest.allow_writing(fish, mounted)
        _bring(fish, found)
        if relabel:
            fish.ask("touch", _RELABEL)
        for each in found:
            fish.ask("rename", each.temporary, each.target)
            done.append(each.file.path)
        fish.finish()
    except GuestfishError as error:
        _sweep(fish, found)
        raise HypervisorError(
            f"{len(done)} of {len(found)} files were put into {str(image)!r}: {error}",
            code="injection-failed",
            hint="see that the guest's file systems have room and are in order, and try again",
            details=tuple(done),
        ) from error


def _bring(fish: Guestfish, found: Sequence[Place]) -> None:
    """Write the files under their temporary names, safe on the image."""
    for each in found:
        if each.missing:
            fish.ask("mkdir-p", posixpath.dirname(each.target))
    fish.ask("umask", "0077")
    for each in found:
        fish.ask("rm-f", each.temporary)  # what a cut left, or a link that would be followed
        fish.upload(each.file.content, each.temporary)
        fish.ask("chown", str(each.user), str(each.group), each.temporary)
        fish.ask("chmod", f"0{each.file.mode:o}", each.temporary)  # last: chown takes setuid away
    fish.ask("sync")


def _sweep(fish: Guestfish, found: Sequence[Place]) -> None:
    """Take the temporary files away, if it still answers."""
    for each in found:
        with suppress(GuestfishError):
            fish.ask("rm-f", each.temporary)
