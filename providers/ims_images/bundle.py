"""Oracle VM 2.x templates: a folder with ``vm.cfg`` and the disks, packed by tar and gzip.

An archive is proved in one pass before anything is made of it: afterwards a tar program unpacks
from it exactly these files, into one folder. Work is bounded by the size of the file, as gzip packs
at most 1032 bytes into one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from ims_images import _tar
from ims_images._file import MAX_DISK_SIZE, ImageFile
from ims_images._gunzip import Gunzip, first_bytes
from ims_images.digest import no_progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ims_core.errors import ImageError
    from ims_images.digest import Progress

__all__ = ["Bundle", "Member", "check", "read_bundle", "recognize"]

_CONFIG, _SYSTEM = "vm.cfg", "System.img"
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_RULES = _tar.Rules(
    kind="Oracle VM template",
    otherwise="a compressed tar archive, but no Oracle VM template",
    advice="pack one folder of plain files, or unpack the image you need and import that",
    repack="tar --format=gnu -czf NEW.tgz FOLDER",
)
_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a bundle.

    Attributes:
        size: Bytes.
        digest: ``sha256:`` and 64 hex digits.
    """

    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A sound Oracle VM template.

    Attributes:
        folder: The one folder that its files are in; empty when they lie at the archive's root.
        members: Its files by their names in that folder; ``vm.cfg`` and ``System.img`` are there.
        contents: Of those members that were wanted, as far as they are there.
    """

    folder: str
    members: Mapping[str, Member]
    contents: Mapping[str, bytes]


def read_bundle(
    path: Path, *, wanted: Mapping[str, int] = _NOTHING, progress: Progress = no_progress
) -> Bundle:
    """Prove that an Oracle VM template is whole and harmless, and read its small members.

    Args:
        path: A regular file.
        wanted: Names of members to read, each with the most bytes it may have.
        progress: Called with the bytes of the file that were read, and its size; what it raises
            ends the work.

    Raises:
        ImageError: The archive must not be used. Codes: ``image-not-readable``, ``image-empty``,
            ``image-truncated``, ``image-corrupt``, ``image-too-large``,
            ``image-size-unaligned``, ``image-format-unsupported``, ``image-member-missing``,
            ``image-member-unsafe``.
    """
    with ImageFile(path) as image:
        return _read(image, wanted, progress)


def recognize(image: ImageFile) -> bool:
    """Whether a file is a tar archive that gzip packed."""
    return _tar.is_header(first_bytes(image, _tar.BLOCK))


def check(image: ImageFile, progress: Progress) -> int:
    """The size of the first disk of a sound template, in bytes; errors as of read_bundle."""
    return _read(image, _NOTHING, progress).members[_SYSTEM].size


def _read(image: ImageFile, wanted: Mapping[str, int], progress: Progress) -> Bundle:
    tar = _tar.Tar(Gunzip(image, progress), _RULES)
    shape = _Shape(tar)
    members: dict[str, Member] = {}
    contents: dict[str, bytes] = {}
    for header, pieces in tar.members():
        name = shape.admit(header)
        if header.is_folder:
            continue
        if header.size > wanted.get(name, header.size):
            raise tar.refused("image-too-large", header.path, f"of more than {wanted[name]} bytes")
        digest, content = _digest(pieces, keep=name in wanted)
        members[name] = Member(header.size, digest)
        if name in wanted:
            contents[name] = content
    for name in (_CONFIG, _SYSTEM):
        if name not in members:
            raise image.error(
                "image-member-missing",
                f"is a compressed tar archive without {name}, and so no Oracle VM template; if "
                "there is an image in it, unpack it and import that",
                fix=_RULES.repack,
            )
    image.check_disk_size(members[_SYSTEM].size)
    return Bundle(shape.folder or "", members, contents)


def _digest(pieces: Iterator[bytes], *, keep: bool) -> tuple[str, bytes]:
    """The digest of a member, and its content if that is to be kept."""
    digest = hashlib.sha256()
    kept = bytearray()
    for piece in pieces:
        digest.update(piece)
        if keep:
            kept += piece
    return f"sha256:{digest.hexdigest()}", bytes(kept)


@dataclass(slots=True)
class _Shape:
    """What the members so far have in common; none may write outside one folder, or twice."""

    tar: _tar.Tar
    folder: str | None = None
    seen: set[str] = field(default_factory=set)
    total: int = 0

    def admit(self, header: _tar.Header) -> str:
        """The name of a member in the folder; empty for the archive's root.

        Raises:
            ImageError: ``image-member-unsafe``, ``image-too-large``.
        """
        if header.is_folder and header.path in {".", "./"}:
            return ""
        path = header.path.removeprefix("./")
        if header.is_folder:
            path = path.removesuffix("/")
        parts = path.split("/")
        if not all(_SAFE_NAME.fullmatch(part) for part in parts):
            raise self._unsafe(header, "whose path is not of plain names, as FOLDER/vm.cfg is")
        folders, name = (parts, "") if header.is_folder else (parts[:-1], parts[-1])
        if len(folders) > 1:
            raise self._unsafe(header, "in a folder within a folder")
        folder = folders[0] if folders else ""
        if self.folder not in {None, folder}:
            raise self._unsafe(header, "outside the folder of the members before it")
        if path.lower() in self.seen:  # a dom0 may keep its templates where case is not told apart
            raise self._unsafe(header, "twice")
        self.folder = folder
        self.seen.add(path.lower())
        self.total += header.size
        if self.total > MAX_DISK_SIZE:
            raise self.tar.refused("image-too-large", header.path, "and more than 64 TiB in all")
        return name

    def _unsafe(self, header: _tar.Header, problem: str) -> ImageError:
        return self.tar.refused("image-member-unsafe", header.path, problem)
