"""A stock Debian 12 with cloud-init, as a second judge of what we tell guests.

``python3 -m tests.labs.cloud_guest`` prints the path of its qcow2 image. Nothing of ours is in it,
and cloud-init and its configuration are as Debian's packages have them. It boots by BIOS from a
virtio disk and needs 1 GiB; under emulation cloud-init is done about a minute after power-on.
Building it takes root, debootstrap and some minutes.
"""

# ruff: noqa: T201 - this is a command; printing is how it answers

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.labs import LabError, LabUnavailableError, bios_disk, cache, debian, packages
from tests.labs.commands import progress, run

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMORY = 1 << 30  # bytes
DEFAULT_USER = "debian"  # whom Debian's cloud.cfg gives the keys

_HERE = Path(__file__).parent
_PACKAGES = (
    *("systemd-sysv", "udev", "dbus", "kmod", "netbase", "ifupdown", "isc-dhcp-client", "iproute2"),
    *("openssh-server", "sudo", "locales", "cloud-init", "linux-image-cloud-amd64"),
)
# What an initramfs needs here. cloud-init looks for its medium so early that the drives must be
# there already, as they are with all drivers.
_MODULES = ("virtio_pci", "virtio_blk", "virtio_scsi", "sr_mod", "isofs", "vfat", "ext4")
_KERNEL_LINE = "root=LABEL=cloud-guest ro console=tty0 console=ttyS0 quiet"
_BOOT_SIZE = 63 << 20
_ROOT_SIZE = "1400M"
_SETTLE = """
echo 'en_US.UTF-8 UTF-8' >/etc/locale.gen # cloud-init's default, which it would make itself
locale-gen
update-locale LANG=en_US.UTF-8
echo 'LABEL=cloud-guest / ext4 defaults 0 0' >/etc/fstab
"""


def build() -> Path:
    """Return the path of the image, a qcow2; build it if anything changed. Do not write to it."""
    packages.require("cloud-guest")
    entry_key = cache.key(Path(__file__), _HERE / "debian.py", _HERE / "bios_disk.py")
    return cache.entry("cloud-guest", entry_key, _build) / "debian.qcow2"


def _build(work: Path) -> None:
    if os.geteuid() != 0:
        raise LabUnavailableError("the cloud guest is built as root; run: sudo make test")
    tree, root, boot, raw = (work / name for name in ("tree", "root.img", "boot.img", "raw"))
    progress("cloud guest: installing a Debian, which takes some minutes")
    debian.install(tree, _PACKAGES, _MODULES, _SETTLE)
    progress("cloud guest: building its disk")
    config = work / "syslinux.cfg"
    config.write_text(bios_disk.syslinux_config(_KERNEL_LINE))
    files = {
        "vmlinuz": debian.newest(tree / "boot", "vmlinuz-*"),
        "initrd": debian.newest(tree / "boot", "initrd.img-*"),
        config.name: config,
    }
    bios_disk.boot_partition(boot, _BOOT_SIZE, files)
    run("mke2fs", "-q", "-t", "ext4", "-L", "cloud-guest", "-d", tree, root, _ROOT_SIZE)
    bios_disk.write_disk(raw, [boot, root])
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, work / "debian.qcow2")
    run("rm", "-rf", tree, root, boot, raw, config)


def main(arguments: Sequence[str]) -> int:
    """Build the image and print its path; a failure goes to stderr and the exit status."""
    if arguments:
        print("usage: python3 -m tests.labs.cloud_guest", file=sys.stderr)
        return 2
    try:
        print(build())
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
