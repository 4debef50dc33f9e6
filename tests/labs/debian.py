"""A Debian in a directory, installed from packages for the labs that boot one."""

from __future__ import annotations

import re
from pathlib import Path

from tests.labs import LabError, LabUnavailableError
from tests.labs.commands import run

SUITE = "bookworm"
UNSTABLE = "sid"

_TIMERS = ("apt-daily", "apt-daily-upgrade", "dpkg-db-backup", "e2scrub_all", "fstrim")
# In a mount namespace of its own, so that no mount outlives it, however it ends.
_IN_CHROOT = """
set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t devtmpfs dev "$1/dev" 2>/dev/null || mount --bind /dev "$1/dev"
exec chroot "$1" sh -euc "$2"
"""
# With all drivers in its initramfs a boot takes half a minute more.
_BEFORE = """
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
mkdir -p /etc/initramfs-tools/conf.d
echo MODULES=list >/etc/initramfs-tools/conf.d/ims-lab
# A mirror may be a copy as it was some weeks ago; its signatures are checked all the same.
echo 'Acquire::Check-Valid-Until "false";' >/etc/apt/apt.conf.d/ims-lab
apt-get -q update
apt-get -q install -y --no-install-recommends initramfs-tools
printf '%s\\n' {modules} >>/etc/initramfs-tools/modules
apt-get -q install -y --no-install-recommends {packages}
"""
_AFTER = f"""
for timer in {" ".join(_TIMERS)}; do systemctl mask "$timer.timer"; done
rm -f /usr/sbin/policy-rc.d /etc/hostname /etc/machine-id /etc/ssh/ssh_host_*
: >/etc/machine-id
apt-get clean
rm -rf /var/lib/apt/lists/*
"""


def install(
    tree: Path,
    packages: tuple[str, ...],
    initramfs_modules: tuple[str, ...],
    then: str,
    *,
    suite: str = SUITE,
    components: str = "main",
) -> None:
    """Install Debian with these packages into a directory, and run a script in it; as root."""
    parts = f"--components={components}"
    run("debootstrap", "--variant=minbase", parts, suite, tree, _mirror())
    before = _BEFORE.format(modules=" ".join(initramfs_modules), packages=" ".join(packages))
    script = before + then + _AFTER
    namespace = ("unshare", "--mount", "--propagation", "private")
    run(*namespace, "sh", "-c", _IN_CHROOT, "sh", tree, script)


def newest(directory: Path, pattern: str) -> Path:
    """The file of that pattern, such as the kernel in a ``/boot``."""
    found = sorted(directory.glob(pattern))
    if not found:
        raise LabError(f"there is no {pattern} in {directory}")
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
