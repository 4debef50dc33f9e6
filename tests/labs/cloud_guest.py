"""A stock Debian 12 with cloud-init, as a second judge of what we tell guests.

``python3 -m tests.labs.cloud_guest`` prints the path of its qcow2 image. Nothing of ours is in it,
and cloud-init and its configuration are as Debian's packages have them. It boots by BIOS from a
virtio disk and needs 1 GiB; under emulation cloud-init is done about a minute after power-on.
Building it takes root, debootstrap and some minutes.
"""

# ruff: noqa: T201 - this is a command; printing is how it answers

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.labs import LabError, LabUnavailableError, bios_disk, cache, packages
from tests.labs.commands import progress, run

if TYPE_CHECKING:
    from collections.abc import Sequence

SUITE = "bookworm"
MEMORY = 1 << 30  # bytes
DEFAULT_USER = "debian"  # whom Debian's cloud.cfg gives the keys

_HERE = Path(__file__).parent
_PACKAGES = (
    *("systemd-sysv", "udev", "dbus", "kmod", "netbase", "ifupdown", "isc-dhcp-client", "iproute2"),
    *("openssh-server", "sudo", "locales", "cloud-init", "linux-image-cloud-amd64"),
)
# What an initramfs needs here; with all drivers in it the boot takes half a minute more. cloud-init
# looks for its medium so early that the drives must be there already, as they are with all drivers.
_MODULES = ("virtio_pci", "virtio_blk", "virtio_scsi", "sr_mod", "isofs", "vfat", "ext4")
_TIMERS = ("apt-daily", "apt-daily-upgrade", "dpkg-db-backup", "e2scrub_all", "fstrim")
_KERNEL_LINE = "root=LABEL=cloud-guest ro console=tty0 console=ttyS0 quiet"
_BOOT_SIZE = 63 << 20
_ROOT_SIZE = "1400M"
# In a mount namespace of its own, so that no mount outlives it, however it ends.
_IN_CHROOT = """
set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t devtmpfs dev "$1/dev" 2>/dev/null || mount --bind /dev "$1/dev"
exec chroot "$1" sh -euc "$2"
"""
_INSTALL = f"""
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
mkdir -p /etc/initramfs-tools/conf.d
echo MODULES=list >/etc/initramfs-tools/conf.d/ims-lab
apt-get -q update
apt-get -q install -y --no-install-recommends initramfs-tools
printf '%s\\n' {" ".join(_MODULES)} >>/etc/initramfs-tools/modules
apt-get -q install -y --no-install-recommends {" ".join(_PACKAGES)}
echo 'en_US.UTF-8 UTF-8' >/etc/locale.gen # cloud-init's default, which it would make itself
locale-gen
update-locale LANG=en_US.UTF-8
for timer in {" ".join(_TIMERS)}; do systemctl mask "$timer.timer"; done
echo 'LABEL=cloud-guest / ext4 defaults 0 0' >/etc/fstab
rm -f /usr/sbin/policy-rc.d /etc/hostname /etc/machine-id /etc/ssh/ssh_host_*
: >/etc/machine-id
apt-get clean
rm -rf /var/lib/apt/lists/*
"""


def build() -> Path:
    """Return the path of the image, a qcow2; build it if anything changed. Do not write to it."""
    packages.require("cloud-guest")
    entry_key = cache.key(SUITE, Path(__file__), _HERE / "bios_disk.py")
    return cache.entry("cloud-guest", entry_key, _build) / "debian.qcow2"


def _build(work: Path) -> None:
    if os.geteuid() != 0:
        raise LabUnavailableError("the cloud guest is built as root; run: sudo make test")
    tree, root, boot, raw = (work / name for name in ("tree", "root.img", "boot.img", "raw"))
    progress("cloud guest: installing a Debian, which takes some minutes")
    run("debootstrap", "--variant=minbase", SUITE, tree, _mirror())
    run(
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        _IN_CHROOT,
        "sh",
        tree,
        _INSTALL,
    )
    progress("cloud guest: building its disk")
    config = work / "syslinux.cfg"
    config.write_text(bios_disk.syslinux_config(_KERNEL_LINE))
    files = {
        "vmlinuz": _only(tree / "boot", "vmlinuz-*"),
        "initrd": _only(tree / "boot", "initrd.img-*"),
        config.name: config,
    }
    bios_disk.boot_partition(boot, _BOOT_SIZE, files)
    run("mke2fs", "-q", "-t", "ext4", "-L", "cloud-guest", "-d", tree, root, _ROOT_SIZE)
    bios_disk.write_disk(raw, [boot, root])
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, work / "debian.qcow2")
    run("rm", "-rf", tree, root, boot, raw, config)


def _only(directory: Path, pattern: str) -> Path:
    found = sorted(directory.glob(pattern))
    if not found:
        raise LabError(f"cloud guest: there is no {pattern} in its /boot")
    return found[-1]


def _mirror() -> str:
    """The mirror that this machine's own apt takes Debian from."""
    sources = [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    for path in sorted(sources):
        text = path.read_text(encoding="utf-8", errors="replace")
        for line in re.findall(r"^(?:URIs:|deb(?: \[.*?\])?)[ \t]+(\S+)", text, re.MULTILINE):
            if re.search(r"/debian/?$", line):
                return str(line)
    raise LabUnavailableError("apt's sources name no mirror of Debian")


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
