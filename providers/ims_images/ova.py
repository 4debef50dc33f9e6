"""OVA files: an appliance in one tar archive (DMTF DSP0243, sections 5 and 10.1.2).

The archive is not compressed, so its disk is inspected, and later converted, where it lies in the
file; nothing is unpacked, and no name in it becomes the name of a file.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from ims_images import _tar, formats
from ims_images._file import Part, printable, shown
from ims_images._source import Plain
from ims_images.ovf import OvfError, disk_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.errors import ImageError
    from ims_images._file import ImageFile
    from ims_images.digest import Progress

__all__ = ["Inside", "check", "find_disk", "recognize"]

_RULES = _tar.Rules(
    kind="OVA",
    otherwise="a tar archive, but no OVA that IMS can use",
    advice="export it again with one disk, or unpack the image you need and import that",
    repack="tar --format=ustar -cf NEW.ova NAME.ovf NAME.vmdk",
)
_MAX_TEXT = 4 << 20
"""Bytes of the descriptor or the manifest; licences stand in the former."""
_DISKS = ("vmdk", "vhd", "vdi", formats.RAW)
# VirtualBox writes "SHA256 (disk.vmdk) = …", ovftool "SHA256(disk.vmdk)= …".
_MANIFEST_LINE = re.compile(r"(SHA1|SHA256|SHA512) ?\((.+)\) ?= ?([0-9A-Fa-f]{40,128})")


class Inside(NamedTuple):
    """The disk in an OVA.

    Attributes:
        name: Of its member.
        start: Where that begins in the archive.
        size: Its bytes.
        format: One of :mod:`ims_images.formats`.
        virtual_size: Of the disk that the guest sees, in bytes.
    """

    name: str
    start: int
    size: int
    format: str
    virtual_size: int


class _Place(NamedTuple):
    start: int
    size: int


def recognize(image: ImageFile) -> bool:
    """Whether the file is a tar archive."""
    return _tar.is_header(image.read(0, min(_tar.BLOCK, image.size), "its start"))


def check(image: ImageFile, progress: Progress) -> int:
    """Prove the archive whole, what its manifest says of it true, and its disk sound.

    Returns:
        The size of the disk that the guest sees, in bytes.

    Raises:
        ImageError: See :func:`ims_images.inspect_image`.
    """
    tar = _tar.Tar(source := Plain(image, _quiet), _RULES)
    places = _places(tar, source)
    disk = _disk(image, tar, places)
    _check_manifest(image, places, disk.name, progress)
    return disk.virtual_size


def find_disk(image: ImageFile) -> Inside:
    """The disk in an archive that was checked before, itself inspected once more.

    Raises:
        ImageError: As :func:`check`, for the file may have changed.
    """
    tar = _tar.Tar(source := Plain(image, _quiet), _RULES)
    return _disk(image, tar, _places(tar, source))


def _quiet(_done: int, _total: int | None) -> None:
    """Headers alone are read quickly."""


def _places(tar: _tar.Tar, source: Plain) -> dict[str, _Place]:
    """Where the members are; the first is the descriptor."""
    places: dict[str, _Place] = {}
    known: set[str] = set()
    for header, _content in tar.members():
        name = header.path
        if not places and not name.lower().endswith(".ovf"):
            raise tar.refused("image-format-unsupported", name, "and not an .ovf file as its first")
        if header.is_folder or not name or re.search(r"[/\\]|[^ -~\u00a0-\U0010ffff]|^\.+$", name):
            raise tar.refused("image-member-unsafe", name, "which is not a plain file at its root")
        if name.lower() in known:
            raise tar.refused("image-member-unsafe", name, "twice")
        known.add(name.lower())
        places[name] = _Place(source.position, header.size)
        source.skip(header.size)
    return places


def _disk(image: ImageFile, tar: _tar.Tar, places: Mapping[str, _Place]) -> Inside:
    descriptor = next(iter(places))
    try:
        name = disk_file(_text(image, descriptor, places))
    except OvfError as error:
        raise tar.unfit("image-format-unsupported", f"{error}; {_RULES.advice}") from error
    if name not in places:
        raise image.error(
            "image-member-missing",
            f"is an OVA without its disk: {printable(name)!r} is none of its members; take a fresh "
            "copy, or export it again",
            fix=f"tar -tvf {shown(image.path)}",
        )
    start, size = places[name]
    part = Part(image, start, size, name)
    if not size:
        raise part.error("image-empty", "is an empty file; export it again")
    found = formats.recognize(part)
    if found not in _DISKS:
        raise part.error(
            "image-format-unsupported",
            f"is {formats.DISKS[found].words}, and not VMDK, VHD, VDI or raw; import it by itself",
            fix=f"tar -xf {shown(image.path)}",
        )
    return Inside(name, start, size, found, formats.check(part, found))


def _text(image: ImageFile, name: str, places: Mapping[str, _Place]) -> bytes:
    start, size = places[name]
    if size > _MAX_TEXT:
        raise image.error("image-too-large", f"holds {printable(name)!r} of {size} bytes of text")
    return image.read(start, size, "its descriptor or manifest")


def _check_manifest(
    image: ImageFile, places: Mapping[str, _Place], disk: str, progress: Progress
) -> None:
    """Every digest in the manifest is right, and it has those of the descriptor and the disk."""
    descriptor = next(iter(places))
    name = next((n for n in places if n.lower() == f"{descriptor[:-4]}.mf".lower()), "")
    if not name:
        return
    stated = _stated(image, _text(image, name, places))
    for needed in (descriptor, disk):
        if needed not in stated:
            raise _wrong(image, f"its manifest, which is silent about {printable(needed)!r},")
    for member in stated:
        if member not in places:
            raise _wrong(image, f"its manifest, which names the missing {printable(member)!r},")
    total = sum(places[member].size for member in stated)
    done = 0
    for member, (kind, wanted) in stated.items():
        digest = hashlib.new(kind, usedforsecurity=False)
        start, size = places[member]
        for piece in Part(image, start, size, member).pieces():
            digest.update(piece)
            done += len(piece)
            progress(done, total)
        if digest.hexdigest() != wanted:
            raise _wrong(image, f"the digest of {printable(member)!r} in its manifest")


def _stated(image: ImageFile, manifest: bytes) -> dict[str, tuple[str, str]]:
    """The algorithm and the digest of each member that the manifest has."""
    stated: dict[str, tuple[str, str]] = {}
    for line in map(str.strip, manifest.decode("utf-8", "backslashreplace").splitlines()):
        if not line:
            continue
        found = _MANIFEST_LINE.fullmatch(line)
        if not found or found[2] in stated:
            raise _wrong(image, f"line {printable(line)!r} of its manifest")
        stated[found[2]] = found[1].lower(), found[3].lower()
    return stated


def _wrong(image: ImageFile, what: str) -> ImageError:
    return image.error(
        "image-corrupt",
        f"is damaged: {what} is wrong; take a fresh copy, or export it again",
        fix="download or copy the image again, and give its digest with --sha256",
    )
