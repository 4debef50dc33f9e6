"""Disks that a BIOS boots by syslinux, made from files: no root, no mount, no loop device."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from tests.labs import LabError
from tests.labs.commands import run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What must be installed for it.
TOOLS = ("dosfstools", "mtools", "syslinux", "syslinux-common")

_SECTOR = 512
_ALIGNMENT = 2048 * _SECTOR
_FAT16_LBA, _LINUX = 0x0E, 0x83


def syslinux_config(kernel_line: str) -> str:
    """Boot ``vmlinuz`` with ``initrd`` at once."""
    return (
        "DEFAULT linux\nPROMPT 0\nTIMEOUT 1\nLABEL linux\n"
        f"  LINUX /vmlinuz\n  INITRD /initrd\n  APPEND {kernel_line}\n"
    )


def boot_partition(path: Path, size: int, files: Mapping[str, Path]) -> None:
    """Write the partition that syslinux boots from: FAT16 with these files; the first on a disk."""
    with path.open("wb") as stream:
        stream.truncate(size)
    # The fixed volume id keeps builds of the same inputs alike.
    hidden = str(_ALIGNMENT // _SECTOR)
    run("mkfs.fat", "-F", "16", "-h", hidden, "-n", "BOOT", "-i", "494d5331", path)
    for name, source in files.items():
        run("mcopy", "-i", path, source, f"::/{name}")
    run("syslinux", "--install", path)


def write_disk(path: Path, partitions: Sequence[Path]) -> None:
    """Write a disk with these partitions; the first is the boot partition, others are Linux'."""
    entries, offset = [], _ALIGNMENT
    with path.open("wb") as disk:
        for index, partition in enumerate(partitions):
            size = partition.stat().st_size
            disk.seek(offset)
            with partition.open("rb") as source:
                while chunk := source.read(_ALIGNMENT):
                    if any(chunk):
                        disk.write(chunk)
                    else:
                        disk.seek(len(chunk), 1)  # stays a hole
            entries.append(_entry(offset, size, boot=index == 0))
            offset += -(-size // _ALIGNMENT) * _ALIGNMENT
        disk.truncate(offset)
        disk.seek(0)
        disk.write(_boot_sector(entries))


def _entry(offset: int, size: int, *, boot: bool) -> bytes:
    # The cylinders are "beyond what can be said", so that every BIOS takes the sector numbers.
    cylinders = b"\xfe\xff\xff"
    return struct.pack(
        "<B3sB3sII",
        *(0x80 if boot else 0, cylinders, _FAT16_LBA if boot else _LINUX, cylinders),
        *(offset // _SECTOR, size // _SECTOR),
    )


def _boot_sector(entries: Sequence[bytes]) -> bytes:
    # Debian and Ubuntu have had it in either place.
    places = [Path("/usr/lib", name, "mbr.bin") for name in ("syslinux/mbr", "SYSLINUX")]
    code = next((path.read_bytes() for path in places if path.exists()), None)
    if code is None:
        raise LabError(f"no boot code of syslinux in {', '.join(map(str, places))}")
    signature = struct.pack("<IH", 0x494D5331, 0)
    return (
        code[:440].ljust(440, b"\0") + signature + b"".join(entries).ljust(64, b"\0") + b"\x55\xaa"
    )
