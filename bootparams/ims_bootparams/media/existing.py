"""Files in a small file system that somebody else made: no mount, no programs of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_bootparams.digest import check_media_name
from ims_bootparams.media.ext2_superblock import looks_like_ext2
from ims_bootparams.media.ext2_volume import Ext2Volume
from ims_bootparams.media.fat_boot_sector import looks_like_fat
from ims_bootparams.media.fat_volume import FatVolume
from ims_bootparams.media.tree import check_files, directories_of
from ims_bootparams.media.volume import refused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ims_bootparams.media.volume import Node, Volume

__all__ = ["put_files", "read_file"]

_MOST_BYTES = 64 << 20


def read_file(image: bytes, name: str) -> bytes | None:
    """What is in a file of an image; None if there is no file of that name.

    Raises:
        InvalidError: No file of ours could have that name.
        UnsupportedError: As :func:`put_files`.
    """
    check_media_name(name)
    volume = _opened(image)
    node: Node | None = volume.root
    for key in _keys(volume, name):
        node = node.children.get(key) if node is not None else None
    return None if node is None or node.is_directory else volume.content(node)


def put_files(image: bytes, files: Mapping[str, bytes], remove: Collection[str] = ()) -> bytes:
    """A copy of a small FAT12, FAT16 or ext2 image in which these files are.

    All else is as it was: the image's size, the file system's label and UUID or serial number, and
    every other file and directory. Equal arguments give equal bytes; see
    :func:`ims_bootparams.media.build` about dates.

    Args:
        image: A file system without partitions, of at most 64 MiB. It may come from anywhere:
            whatever its bytes are, there are no other errors than these.
        files: Content by name; a name may have directories. A file that is there already is
            replaced. On FAT it is any file whose name differs only by case.
        remove: Names of files that shall not be there, and need not be. Directories that become
            empty go too.

    Raises:
        InvalidError: A name cannot be carried, or there is no room (``context-too-large``).
        UnsupportedError: This image cannot be changed so that all else is kept, or is damaged
            (``image-not-replaceable``); the message says what stands in the way.
    """
    check_files(files, None)
    for name in remove:
        check_media_name(name)
    volume = _opened(image)
    needed = {_keys(volume, name) for name in directories_of(files)}
    for name in (*sorted(remove), *sorted(files)):  # a file may come where a directory goes
        _remove(volume, name, needed)
    for name in sorted(files):
        _add(volume, name, files[name])
    return volume.saved()


def _opened(image: bytes) -> Volume:
    if len(image) > _MOST_BYTES:
        raise refused(f"it has {len(image)} bytes, more than {_MOST_BYTES}")
    fat, ext2 = looks_like_fat(image), looks_like_ext2(image)
    if fat and ext2:
        raise refused("it is FAT and ext2 at once")
    if fat:
        return FatVolume(image)
    if ext2:
        return Ext2Volume(image)
    if _is_partitioned(image):
        raise refused("it has a partition table")
    raise refused("it is neither FAT nor ext2")


def _is_partitioned(image: bytes) -> bool:
    """Whether it has a master boot record (UEFI specification, section "Legacy MBR")."""
    states, types = set(image[446:510:16]), image[450:510:16]
    return image[510:512] == b"\x55\xaa" and states <= {0, 0x80} and any(types)


def _keys(volume: Volume, name: str) -> tuple[bytes, ...]:
    return tuple(map(volume.key, name.split("/")))


def _remove(volume: Volume, name: str, needed: Collection[tuple[bytes, ...]]) -> None:
    """Remove a file, if it is there, and the directories that are empty then and not needed."""
    path = _keys(volume, name)
    trail = [volume.root]
    for key in path:
        if key not in trail[-1].children:
            return
        trail.append(trail[-1].children[key])
    if trail[-1].is_directory:
        return
    while len(trail) > 1:
        node = trail.pop()
        volume.remove(trail[-1], node)
        if trail[-1].children or path[: len(trail) - 1] in needed:
            return


def _add(volume: Volume, name: str, content: bytes) -> None:
    *parents, base = name.split("/")
    directory = volume.root
    for part in parents:
        child = directory.children.get(volume.key(part))
        if child is None:
            child = volume.add_directory(directory, part)
        if not child.is_directory:
            raise refused(f"{part!r} is not a directory there")
        directory = child
    if volume.key(base) in directory.children:
        raise refused(f"{name!r} is a directory there")
    volume.add_file(directory, base, content)
