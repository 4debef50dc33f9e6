"""The disk of a dom0: Debian with Xen from its packages, and an SSH server.

Building takes root and some minutes; it needs no network but the package mirror.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

from tests.labs import LabUnavailableError, cache, debian, machine, packages
from tests.labs.commands import progress, run

__all__ = ["ADDRESS", "BRIDGE", "build"]

#: dom0's own address on QEMU's user network, and the bridge that it stands on with the guests.
ADDRESS = "10.0.2.15"
BRIDGE = "xenbr0"

_HERE = Path(__file__).parent
_PACKAGES = (
    *("systemd-sysv", "udev", "kmod", "iproute2", "ifupdown", "bridge-utils", "openssh-server"),
    *("linux-image-amd64", "xen-system-amd64", "qemu-system-xen", "qemu-utils", "python3"),
)
_MODULES = ("ext4", "ata_piix", "sd_mod", "e1000")
_INTERFACES = f"""\
auto lo
iface lo inet loopback

iface eth0 inet manual

auto {BRIDGE}
iface {BRIDGE} inet static
    address {ADDRESS}/24
    gateway 10.0.2.2
    bridge_ports eth0
    bridge_stp off
    bridge_fd 0
"""
# What Xen's own vif-bridge does here, without the many programs that it runs: each costs an
# emulated dom0 a twentieth of a second, and they are run whenever a card comes or goes.
_VIF_SCRIPT = """\
#!/bin/sh
set -e
[ "$1" = online ] || exit 0
ip link set "$vif" master "$(xenstore-read "$XENBUS_PATH/bridge")" up
xenstore-write "$XENBUS_PATH/hotplug-status" connected
"""
_SETTLE = f"""
cat >/etc/network/interfaces <<'END'
{_INTERFACES}END
cat >/etc/xen/scripts/vif-lab <<'END'
{_VIF_SCRIPT}END
chmod 755 /etc/xen/scripts/vif-lab
echo 'vif.default.script="vif-lab"' >>/etc/xen/xl.conf
printf '%s\\n' xen-blkback xen-netback xen-gntdev xen-evtchn loop >/etc/modules
echo '/dev/sda / ext4 defaults,noatime 0 0' >/etc/fstab
echo 'XENCONSOLED_ARGS=--log=guest' >>/etc/default/xen # what guests print is kept
mkdir -p /var/log/xen/console
systemctl enable ssh networking
# PAM runs programs at each login, which costs an emulated machine up to a second.
echo 'UsePAM no' >/etc/ssh/sshd_config.d/lab.conf
# Nobody looks at them here, and each costs a second of the boot.
systemctl mask xendomains.service getty@tty1.service systemd-timesyncd.service
"""
_ROOT_SIZE = "4G"


def build() -> Path:
    """Return a directory with what boots a dom0, and with the keys to it.

    ``disk.qcow2`` (do not write to it), ``xen``, ``vmlinuz``, ``initrd``; ``id`` is the private key
    that root's account takes, ``host.pub`` the line of the server's own key.
    """
    packages.require("xen")
    entry_key = cache.key(Path(__file__), _HERE.parent / "debian.py")
    return cache.entry("xen-dom0", entry_key, _build)


def _build(work: Path) -> None:
    if os.geteuid() != 0:
        raise LabUnavailableError("the Xen lab is built as root; run: sudo make test")
    tree, raw = work / "tree", work / "raw"
    progress("Xen lab: installing a dom0, which takes some minutes")
    debian.install(tree, _PACKAGES, _MODULES, _SETTLE)
    progress("Xen lab: building its disk")
    machine.give_keys(work, tree, "dom0")
    hypervisor = debian.newest(tree / "boot", "xen-*.gz")
    (work / "xen").write_bytes(gzip.decompress(hypervisor.read_bytes()))
    for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        debian.newest(tree / "boot", pattern).rename(work / name)
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, raw, _ROOT_SIZE)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, work / machine.DISK)
    run("rm", "-rf", tree, raw)
