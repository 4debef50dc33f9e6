"""Disks that template authors made, with mkfs.vfat, mformat, mtools and mke2fs."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ims_core.models import Carrier
from tests.bootparams.helpers import run, write_files
from tests.bootparams.judges import needs

#: What the author put there. No file of IMS' own can have one of these names, but for `many`.
THEIRS = {
    "Read me, please.txt": b"by the author\n",
    "SHORT+.TXT": b"in 8.3",
    "some+dir/More/deep+er": bytes(range(256)) * 300,
    "some+dir/empty+": b"",
    **{f"many/a+rather-long-name-{i:03}": b"%d" % i for i in range(80)},
}


@dataclass(frozen=True)
class Disk:
    """How to make one; the command ends with the image's name.

    Attributes:
        kibibytes: Its size.
        command: What makes the file system in a file of that size.
        after: What is done to it then; it may exit with 1, as e2fsck does when it changed it.
    """

    kibibytes: int
    command: str
    after: str = ""

    @property
    def carrier(self) -> Carrier:
        return Carrier.EXT2_DISK if "mke2fs" in self.command else Carrier.FAT_DISK


def _fat(kibibytes: int, options: str) -> Disk:
    return Disk(kibibytes, f"mkfs.vfat -n TEMPLATE -i 1234abcd {options}")


def _ext2(kibibytes: int, options: str, after: str = "") -> Disk:
    command = f"mke2fs -q -t ext2 -L Template -U 01234567-89ab-cdef-0123-456789abcdef {options}"
    return Disk(kibibytes, command, after)


DISKS = {
    "floppy": _fat(1440, "-F 12"),
    "fat12": _fat(6144, "-F 12 -s 8"),
    "fat12-large-clusters": _fat(32768, "-F 12 -s 64"),
    "fat16": _fat(4096, "-F 16 -s 1"),
    "fat16-one-table": _fat(12288, "-F 16 -s 4 -f 1"),
    "fat16-large-sectors": _fat(12288, "-F 16 -S 2048 -s 1"),
    "mformat": Disk(2880, "mformat -f 2880 -v TEMPLATE -N 1234abcd -i"),
    "ext2-1k": _ext2(10240, "-b 1024 -I 128"),
    "ext2-indexed": _ext2(8192, "-b 1024 -I 256", "e2fsck -f -y -D"),
    "ext2-2k": _ext2(8192, "-b 2048 -I 256"),
    "ext2-4k": _ext2(8192, "-b 4096 -I 128"),
    "ext2-no-types": _ext2(8192, "-b 1024 -O ^filetype"),
    "ext2-many-copies": _ext2(10240, "-b 1024 -O ^sparse_super,^resize_inode"),
    "ext3": _ext2(8192, "-b 1024 -j"),
    "ext2-small-groups": _ext2(4096, "-b 1024 -g 1024 -N 256"),
}


@functools.cache
def made(name: str) -> bytes:
    """A disk with the author's files on it."""
    disk = DISKS[name]
    with tempfile.TemporaryDirectory() as folder:
        tree = write_files(Path(folder, "tree"), THEIRS)
        (tree / "nothing+in").mkdir()
        if disk.carrier is Carrier.EXT2_DISK:
            (tree / "link+").symlink_to("SHORT+.TXT")
            (tree / "long+link").symlink_to("some+dir/" * 20)
            return blank(disk, "-d", tree)
        image = Path(folder, "image")
        image.write_bytes(blank(disk))
        run(needs("mcopy"), "-s", "-Q", "-m", "-i", image, *sorted(tree.iterdir()), "::")
        run(needs("mattrib"), "+h", "+s", "+r", "-i", image, "::some+dir/empty+")
        return image.read_bytes()


def blank(disk: Disk, *options: str | Path) -> bytes:
    """A disk as its maker leaves it."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "image")
        image.write_bytes(bytes(disk.kibibytes << 10))
        tool, *arguments = disk.command.split()
        ends = ["::"] if tool == "mformat" else []
        run(needs(tool), *options, *arguments, image, *ends)
        if disk.after:
            tool, *arguments = disk.after.split()
            run(needs(tool), *arguments, image, allowed=1)
        return image.read_bytes()
