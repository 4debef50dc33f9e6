"""Making an image of another format, which a provider can make VMs from, by ``qemu-img convert``.

Only what :func:`ims_images.inspect_image` accepted is given to qemu-img, and it is told the format
that was found, never left to guess one; it is told as well to open no backing file. The disk in an
OVA is read where it lies in the archive.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ims_core.errors import CapacityError, ImageError
from ims_images import _qemu_img, formats, ova
from ims_images._cache import local_errors
from ims_images._file import ImageFile, shown
from ims_images.digest import no_progress
from ims_images.inspect import inspect_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ims_images.digest import Progress
    from ims_images.inspect import ImageInfo

__all__ = ["best_format", "convert"]

_WRITTEN = ("qcow2", "raw", "vdi")
_DRIVERS = {name: name for name in formats.DISKS} | {formats.RAW: "raw", "vhd": "vpc"}
_OPTIONS = {"vhd": {"force_size_calc": "current_size"}}  # and not what its geometry comes to
_SECTOR = 512
_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


def best_format(found: str, wanted: Sequence[str]) -> str:
    """The format in which an image is to be stored; empty when it cannot be had.

    Args:
        found: That of the image.
        wanted: What the provider makes VMs from, the best first.
    """
    if found in wanted:
        return found
    if found not in {*_DRIVERS, "ova"}:
        return ""
    return next((name for name in wanted if name in _WRITTEN), "")


def convert(
    path: Path,
    info: ImageInfo,
    target: str,
    destination: Path,
    *,
    timeout: float,
    progress: Progress = no_progress,
) -> ImageInfo:
    """Write the disk of an image into a new file.

    Args:
        path: A file that was inspected, and that others cannot change since.
        info: What was found.
        target: ``qcow2``, ``raw`` or ``vdi``.
        destination: The new file, with mode 0600; it is there when it is whole, and not before.
        timeout: Seconds for all of it.
        progress: Called with the bytes of the disk that are done, and those in all, twice a second
            or more; what it raises ends the work.

    Returns:
        What the new file is, inspected like any other.

    Raises:
        ImageError: ``image-changed``, ``image-not-convertible``, or as of
            :func:`ims_images.inspect_image`.
        UnsupportedError: ``qemu-img-missing``.
        DeadlineError: ``image-convert-timeout``.
        CapacityError: ``cache-full``.
    """
    if target not in _WRITTEN:
        raise ValueError(target)
    command = _command(path, info.format, target)
    tool = _qemu_img.find_tool(path, command)

    def tell(percent: float) -> None:
        progress(int(info.virtual_size * percent / 100), info.virtual_size)

    # A little for tables: qcow2 needs the most, 8 bytes and a count for 64 KiB.
    written = info.virtual_size + info.virtual_size // 1024 + (16 << 20)
    with ImageFile(path) as image, _new_file(destination) as (temporary, output):
        if image.size != info.size:
            raise image.error(
                "image-changed", "has changed since it was inspected; import it again"
            )
        source = image.duplicate()
        try:
            described = json.dumps(_described(image, info.format, source))
            line = [tool, "convert", "-p", "-O", target]
            line += [f"json:{described}", _qemu_img.by_descriptor(output)]
            bounds = _qemu_img.Bounds(timeout, written)
            status, said = _qemu_img.run(line, (source, output), bounds, tell)
        finally:
            os.close(source)
        if status:
            raise _failed(path, said or _qemu_img.reason(status), command)
        made = inspect_image(temporary, declared=target)
        if made.virtual_size != info.virtual_size:
            raise _failed(path, f"its disk came to {made.virtual_size} bytes", command)
    return made


@contextmanager
def _new_file(destination: Path) -> Iterator[tuple[Path, int]]:
    """A file with another name until all went well; nothing is left of it otherwise."""
    temporary = destination.with_name(f"{destination.name}.part")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with local_errors(temporary):
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, flags, 0o600)
    try:
        yield temporary, descriptor
        with local_errors(destination):
            temporary.replace(destination)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(descriptor)


def _described(image: ImageFile, found: str, descriptor: int) -> dict[str, Any]:
    """The source in QEMU's words; there is nothing in them that the image or a user chose."""
    name = _qemu_img.by_descriptor(descriptor)
    file: dict[str, Any] = {"driver": "file", "filename": name}
    if found == "ova":
        inside = ova.find_disk(image)
        size = -(-inside.size // _SECTOR) * _SECTOR  # tar fills its last block
        file = {"driver": "raw", "offset": inside.start, "size": size, "file": file}
        found = inside.format
    return {
        "driver": _DRIVERS[found],
        "backing": None,
        "file": file,
        **_OPTIONS.get(found, {}),
    }


def _command(path: Path, found: str, target: str) -> str:
    """What a person could do instead, where qemu-img is."""
    name = shown(path)
    if found == "ova":
        return f"tar -xf {name}, and then qemu-img convert -O {target} its disk"
    return f"qemu-img convert -f {_DRIVERS[found]} -O {target} {name} {name}.{target}"


def _failed(path: Path, why: str, command: str) -> Exception:
    if any(each in why for each in _FULL):
        return CapacityError(
            f"no space is left to convert image {shown(path)}: {why}",
            code="cache-full",
            hint="free some space where IMS keeps its state (IMS_STATE), or convert it elsewhere",
        )
    return ImageError(
        f"image {shown(path)} cannot be converted: {why}",
        code="image-not-convertible",
        hint=f"try it by hand, and import the result: {command}",
    )
