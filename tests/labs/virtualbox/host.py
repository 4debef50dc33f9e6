"""A Debian with VirtualBox, from unstable's packages: a directory to run it in, and a disk to boot.

Nothing is pinned, as unstable moves; ``version`` says what was installed. Building takes root and
some minutes; it needs no network but the package mirror.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.labs import (
    LabError,
    LabMissingError,
    LabUnavailableError,
    cache,
    debian,
    machine,
    packages,
)
from tests.labs.commands import progress, run

__all__ = ["GUEST", "TREE", "build"]

#: The directory's name in the entry.
TREE = "tree"
#: The same of the directory with what its guests need.
GUEST = "guest"

_PACKAGES = (
    *("systemd-sysv", "udev", "kmod", "iproute2", "ifupdown", "openssh-server", "procps"),
    *("linux-image-amd64", "linux-headers-amd64", "virtualbox-dkms", "virtualbox"),
)
_MODULES = ("ext4", "ata_piix", "sd_mod", "e1000")
_INTERFACES = """\
auto lo
iface lo inet loopback

auto eth0
iface eth0 inet static
    address 10.0.2.15/24
    gateway 10.0.2.2
"""
_SETTLE = f"""
cat >/etc/network/interfaces <<'END'
{_INTERFACES}END
echo '/dev/sda / ext4 defaults,noatime 0 0' >/etc/fstab
# It holds the CPU's virtualization, of which VirtualBox needs all.
printf 'blacklist kvm\\nblacklist kvm_amd\\n' >/etc/modprobe.d/ims-lab.conf
echo vboxdrv >/etc/modules
systemctl enable ssh networking
systemctl mask getty@tty1.service systemd-timesyncd.service
# For guests: what speaks with VirtualBox's device, and the libraries that it needs.
mkdir /guest /guest/files
cd /guest
apt-get -q download virtualbox-guest-utils
dpkg-deb -x virtualbox-guest-utils_*.deb files
cp files/usr/sbin/VBoxControl /lib64/ld-linux-x86-64.so.2 .
cp /lib/x86_64-linux-gnu/libc.so.6 .
rm -rf files virtualbox-guest-utils_*.deb
# What vboxdrv was built with is most of what there is, and not wanted any more.
rm -rf /usr/src /usr/lib/gcc /usr/libexec/gcc /var/lib/dkms /usr/share/doc /usr/share/locale
"""
_ROOT_SIZE = "4G"
# apt's words where a package is not there, or is but cannot be installed with the others.
_NOT_TO_BE_HAD = re.compile(
    r"\bE: (?:Unable to (?:locate|fetch|correct)|Package .* has no installation candidate)"
    r"|\bE: (?:Failed to fetch|Couldn't download)|unmet dependencies"
)


def build() -> Path:
    """Return the directory of what boots a VirtualBox host, and of the keys to it.

    ``tree`` and ``disk.qcow2`` hold the same system (do not write to them); ``vmlinuz``,
    ``initrd``; ``id`` is the private key that root's account takes, ``host.pub`` the line of the
    server's own key; ``guest`` has VBoxControl with its libraries; ``version`` is VirtualBox's.
    """
    packages.require("virtualbox")
    entry_key = cache.key(Path(__file__), Path(debian.__file__))
    return cache.entry("virtualbox-host", entry_key, _build)


def _build(work: Path) -> None:
    if os.geteuid() != 0:
        raise LabUnavailableError("the VirtualBox labs are built as root; run: sudo make test")
    tree, raw = work / TREE, work / "raw"
    progress("VirtualBox lab: installing VirtualBox from unstable, which takes some minutes")
    try:
        debian.install(
            *(tree, _PACKAGES, _MODULES, _SETTLE),
            suite=debian.UNSTABLE,
            components="main,contrib",
        )
        debian.newest(tree / "lib/modules", "*/updates/dkms/vboxdrv.ko*")
    except LabError as error:
        if _NOT_TO_BE_HAD.search(str(error)):
            raise LabMissingError(f"unstable's VirtualBox cannot be installed: {error}") from error
        raise
    progress("VirtualBox lab: building its disk")
    machine.give_keys(work, tree, "virtualbox")
    (tree / GUEST).rename(work / GUEST)
    for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        debian.newest(tree / "boot", pattern).rename(work / name)
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, raw, _ROOT_SIZE)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, work / machine.DISK)
    run("rm", "-f", raw)
    told = run("chroot", tree, "dpkg-query", "--show", "--showformat=${Version}", "virtualbox")
    (work / "version").write_text(told)
