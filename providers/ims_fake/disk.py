"""What stands for the file system of a VM's disk: a tar archive at the beginning of its volume."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from ims_core.errors import CapacityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.models import File
    from ims_fake.directory import Directory

__all__ = ["put"]


def put(directory: Directory, volume: str, files: Sequence[File]) -> None:
    """Put files into a disk, in one step; what it has stays, but for files of the same paths.

    Raises:
        CapacityError: The disk is too small for them.
    """
    path = directory.path("volume", volume)
    disk = directory.read(path)
    found = {**_members(disk), **{each.path: _member(each) for each in files}}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in found.values():
            tar.addfile(member, io.BytesIO(content))
    content = archive.getvalue()
    if len(content) > len(disk):
        raise CapacityError(f"volume {volume} has no room for these files", hint="put fewer there")
    directory.write(path, content.ljust(len(disk), b"\0"))


def _member(file: File) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(file.path)
    member.size, member.mode = len(file.content), file.mode
    member.uname, _, member.gname = file.owner.partition(":")
    return member, file.content


def _members(disk: bytes) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """What is there already; nothing in a disk that is empty, or holds something else."""
    try:
        with tarfile.open(fileobj=io.BytesIO(disk), mode="r:") as tar:
            files = [(each, tar.extractfile(each)) for each in tar if each.isreg()]
            return {each.name: (each, file.read()) for each, file in files if file is not None}
    except tarfile.TarError:
        return {}
