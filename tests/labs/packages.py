"""The distribution packages that each lab needs, and their installation.

``python3 -m tests.labs.packages kvm`` installs what is missing and does nothing,
quickly, when all are there.
"""

# ruff: noqa: T201 - this is a command; printing is how it answers

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.labs import LabError, LabUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What builds the tiny guest; every lab boots it.
GUEST = (
    "busybox-static",
    "dosfstools",
    "e2fsprogs",
    "kmod",
    "mtools",
    "qemu-utils",
    "syslinux",
    "syslinux-common",
    "xenstore-utils",
    "zstd",
)
#: What builds the stock guest with cloud-init.
CLOUD_GUEST = ("debootstrap", "dosfstools", "e2fsprogs", "mtools", "syslinux", "syslinux-common")

#: Packages by what they are for: ``python`` makes the virtual environment and builds
#: libvirt-python, ``judges`` read what we wrote, the others are labs.
PACKAGES: dict[str, tuple[str, ...]] = {
    "python": (
        "gcc",
        "libc6-dev",
        "libvirt-dev",
        "pkg-config",
        "python3-dev",
        "python3-venv",
    ),
    "judges": (
        *("cloud-image-utils", "dash", "dosfstools", "e2fsprogs", "genisoimage", "mtools"),
        *(
            "libguestfs-tools",
            "libxen-dev",
            "linux-image-cloud-amd64",
            "openssl",
            "shellcheck",
            "util-linux",
            "xorriso",
        ),
    ),
    "guest": GUEST,
    "cloud-guest": CLOUD_GUEST,
    "kvm": (
        *GUEST,
        *CLOUD_GUEST,
        "dnsmasq-base",
        "iproute2",
        "iptables",
        "libvirt-clients",
        "libvirt-daemon-system",
        "openssh-client",
        "openssh-server",
        "qemu-system-x86",
    ),
    "xen": (*GUEST, "debootstrap", "openssh-client", "qemu-system-x86"),
    "virtualbox": (*GUEST, "debootstrap", "openssh-client", "qemu-system-x86"),
}


def missing(names: Sequence[str]) -> list[str]:
    """Return those of the named packages that dpkg does not call installed."""
    query = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *names],
        capture_output=True,
        text=True,
        check=False,  # it fails when a package is unknown, and still lists the others
    )
    states = dict(line.split(" ", 1) for line in query.stdout.splitlines())
    return [name for name in names if states.get(name) != "installed"]


def require(lab: str) -> None:
    """Raise :class:`LabUnavailableError`, with the command that helps, if a package is missing."""
    absent = missing(PACKAGES[lab])
    if absent:
        raise LabUnavailableError(
            f"missing packages: {' '.join(absent)}; run: python3 -m tests.labs.packages {lab}"
        )


def install(lab: str) -> list[str]:
    """Install what the lab lacks and return the names; as root, or through sudo."""
    absent = missing(PACKAGES[lab])
    if not absent:
        return []
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]
    install_command = [*apt, "install", "--yes", "--no-install-recommends", *absent]
    if subprocess.run(install_command, check=False, stdout=sys.stderr).returncode == 0:
        return absent
    # The lists may be absent or older than what the mirror still holds.
    subprocess.run([*apt, "update"], check=False, stdout=sys.stderr)
    if subprocess.run(install_command, check=False, stdout=sys.stderr).returncode != 0:
        raise LabError(f"apt-get could not install: {' '.join(absent)}")
    return absent


def main(arguments: Sequence[str]) -> int:
    """Install the packages of the labs named; the exit status says whether it worked."""
    if not arguments or not set(arguments) <= set(PACKAGES):
        print(f"usage: python3 -m tests.labs.packages {'|'.join(PACKAGES)} …", file=sys.stderr)
        return 2
    try:
        for lab in arguments:
            added = install(lab)
            print(f"{lab}: {'installed ' + ' '.join(added) if added else 'all packages are there'}")
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
