"""Files that are not raw disks, recognized by their magic bytes.

Whatever has no known magic counts as raw, so a compressed download or another hypervisor's image
would otherwise be handed to a guest as its disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ims_images._file import shown

if TYPE_CHECKING:
    from ims_images._file import ImageFile

__all__ = ["refuse_foreign"]

_HEAD = 36 * 1024
_FOOTER = 512

_CONVERT = "qemu-img convert -f {qemu} -O qcow2 {path} {path}.qcow2"


class _Format(NamedTuple):
    """One known format: where its magic stands, and the command that turns it into an image."""

    name: str
    offset: int
    magic: bytes
    command: str


def _qemu(name: str, offset: int, magic: bytes, qemu: str) -> _Format:
    return _Format(name, offset, magic, _CONVERT.replace("{qemu}", qemu))


_IMAGES = (
    _qemu("a VHDX image", 0, b"vhdxfile", "vhdx"),
    _qemu("a QED image", 0, b"QED\0", "qed"),
    _qemu("a qcow version 1 image", 0, b"QFI\xfb\0\0\0\1", "qcow"),
    _qemu("a Parallels image", 0, b"WithoutFreeSpace", "parallels"),
    _qemu("a Parallels image", 0, b"WithouFreSpacExt", "parallels"),
    _qemu("a Bochs image", 0, b"Bochs Virtual HD Image", "bochs"),
    _Format("gzip-compressed", 0, b"\x1f\x8b\x08", "gzip -dc {path} > NEW.img"),
    _Format("xz-compressed", 0, b"\xfd7zXZ\0", "xz -dc {path} > NEW.img"),
    _Format("zstd-compressed", 0, b"\x28\xb5\x2f\xfd", "zstd -dc {path} > NEW.img"),
    _Format("bzip2-compressed", 0, b"BZh", "bzip2 -dc {path} > NEW.img"),
    _Format("lz4-compressed", 0, b"\x04\x22\x4d\x18", "lz4 -dc {path} > NEW.img"),
    _Format("a zip archive", 0, b"PK\x03\x04", "unzip {path}"),
    _Format("a 7z archive", 0, b"7z\xbc\xaf\x27\x1c", "7z x {path}"),
    _Format("a damaged tar archive (an OVA, perhaps)", 257, b"ustar", "tar -xf {path}"),
    _Format("an HTML page", 0, b"<!DOCTYPE html", "download the image itself, not its page"),
    _Format("an HTML page", 0, b"<!doctype html", "download the image itself, not its page"),
    _Format("an HTML page", 0, b"<html", "download the image itself, not its page"),
)
_LUKS = b"LUKS\xba\xbe"
_ISO = (32769, b"CD001")
_VHD_FOOTER = b"conectix"
_DMG_FOOTER = b"koly"


def refuse_foreign(image: ImageFile, *, allow_iso: bool) -> None:
    """Raise ImageError when the file is of a known format that is not a raw disk."""
    head = image.read(0, min(_HEAD, image.size), "its start")
    if head.startswith(_LUKS):
        raise image.error(
            "image-encrypted",
            "is encrypted with LUKS; IMS has no key for it: decrypt it where it was made",
            fix="cryptsetup open, then qemu-img convert -O qcow2 /dev/mapper/NAME NEW.qcow2",
        )
    for known in _IMAGES:
        if head.startswith(known.magic, known.offset):
            raise _unsupported(image, known.name, known.command)
    if not allow_iso and head.startswith(_ISO[1], _ISO[0]):
        raise image.error(
            "image-format-unsupported",
            "is an ISO 9660 medium, not an installed disk; install from it first, or declare it "
            "raw if the disk itself is meant to be an ISO",
        )
    _refuse_footers(image)


def _refuse_footers(image: ImageFile) -> None:
    """Formats whose only certain mark is at the end: Apple's disk images, and old fixed VHDs."""
    if image.size < _FOOTER:
        return
    tail = image.read(image.size - _FOOTER, _FOOTER, "its last sector")
    if tail.startswith(_VHD_FOOTER, 1):  # Virtual PC before 2004 wrote a footer of 511 bytes
        raise _unsupported(
            image, "a fixed VHD image of Virtual PC before 2004", _CONVERT.replace("{qemu}", "vpc")
        )
    if tail.startswith(_DMG_FOOTER):
        raise _unsupported(image, "an Apple disk image", _CONVERT.replace("{qemu}", "dmg"))


def _unsupported(image: ImageFile, name: str, command: str) -> Exception:
    fix = command.replace("{path}", shown(image.path))
    return image.error(
        "image-format-unsupported",
        f"is {name}, which IMS does not read; convert it first: {fix}",
        fix=fix,
    )
