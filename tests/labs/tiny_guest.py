"""The tiny guest: a distribution kernel, busybox and our guest program on a small disk.

``python3 -m tests.labs.tiny_guest`` prints the path of its qcow2 image. It boots by
BIOS in 128 MB on every hypervisor that we drive, reads its context, writes
``ims-guest: ready`` on the console and gives a shell there. Its programs are in memory; /etc,
/home, /root and /var are on its disk and outlast a boot. No root and no mount is needed to build
it.
"""

# ruff: noqa: T201 - this is a command; printing is how it answers

from __future__ import annotations

import gzip
import re
import shutil
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ims_bootparams import guest
from tests.labs import LabError, bios_disk, cache, kernel, packages
from tests.labs.commands import progress, run, versions
from tests.labs.newc import Archive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What the guest prints on its console when it has read its context.
READY = "ims-guest: ready"
#: The kernel line. Without noxsave init dies in a VirtualBox that is itself emulated.
KERNEL_LINE = "console=hvc0 console=ttyS0 noxsave quiet"

# pygrub reads no syslinux.cfg, and of extlinux.conf not the newer words.
_FOR_PYGRUB = f"""\
default linux
label linux
  kernel /vmlinuz
  append initrd=/initrd {KERNEL_LINE}
"""

_NOTHING: Mapping[str, Path] = MappingProxyType({})
_HERE = Path(__file__).parent
_FILES = _HERE / "guest"

_BUILDERS = tuple(
    _HERE / name for name in ("tiny_guest.py", "newc.py", "kernel.py", "bios_disk.py")
)
# What gets into the image, or makes it; others of the packages only carry the work out.
_TOOLS = ("busybox-static", "e2fsprogs", "qemu-utils", "xenstore-utils", *bios_disk.TOOLS)

_PARTITION_SIZE = 31 * 1024 * 1024
_STATE_SIZE = "12M"

# Where the files of the folder guest/ stand in the guest.
_PLACES = {
    "init": "init",
    "inittab": "usr/lib/ims-guest/inittab",
    "boot": "usr/lib/ims-guest/boot",
    "link-ports": "usr/lib/ims-guest/link-ports",
    "udhcpc.script": "usr/share/udhcpc/default.script",
    "power-button": "etc/acpi/PWRF/00000080",
    "adduser": "usr/sbin/adduser",
}
_TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost\n",
    "etc/hostname": "ims-guest\n",
    "etc/resolv.conf": "",
    "etc/shells": "/bin/sh\n",
    "etc/os-release": 'ID=ims-guest\nNAME="IMS tiny guest"\n',
    "etc/profile": "export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PS1='ims-guest# '\ncd\n",
}
_DIRECTORIES = (
    *("dev", "home", "mnt", "mnt/state", "media", "opt", "proc", "run", "sys", "tmp"),
    *("usr/local/bin", "var/lib", "var/log", "var/tmp"),
)


def build(added: Mapping[str, Path] = _NOTHING) -> Path:
    """Return the path of the image, a compressed qcow2; build it if anything changed.

    Args:
        added: Further programs, by their places in the guest.

    It is a base for overlays: do not write to it. Beside it stand ``tiny.raw``, and ``vmlinuz``,
    ``vmlinux`` (the same, unpacked) and ``initrd.gz``, for hypervisors that load a kernel
    themselves.
    """
    packages.require("guest")
    boot = kernel.build()
    files = [path for path in sorted(_FILES.iterdir()) if path.is_file()]
    entry_key = cache.key(
        *(boot.name, versions(_TOOLS)),
        *_BUILDERS,
        *(part for path in files for part in (path.name, path)),
        guest.program().decode(),
        *(part for place, path in sorted(added.items()) for part in (place, path)),
    )
    entry = cache.entry("tiny-guest", entry_key, lambda work: _build(boot, added, work))
    return entry / "tiny.qcow2"


def _build(boot: Path, added: Mapping[str, Path], work: Path) -> None:
    progress("tiny guest: building its disk")
    shutil.copyfile(boot / "vmlinuz", work / "vmlinuz")
    (work / "vmlinux").write_bytes(kernel.unpacked(work / "vmlinuz"))
    (work / "initrd.gz").write_bytes(gzip.compress(_initramfs(boot, added), mtime=0))
    config, extlinux, partition, state, raw = (
        work / name for name in ("syslinux.cfg", "extlinux.conf", "partition", "state", "tiny.raw")
    )
    config.write_text(bios_disk.syslinux_config(KERNEL_LINE))
    extlinux.write_text(_FOR_PYGRUB)
    files = {"vmlinuz": work / "vmlinuz", "initrd": work / "initrd.gz", config.name: config}
    files[extlinux.name] = extlinux
    bios_disk.boot_partition(partition, _PARTITION_SIZE, files)
    run("mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum", "-L", "STATE", state, _STATE_SIZE)
    bios_disk.write_disk(raw, [partition, state])
    run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, work / "tiny.qcow2")
    for path in (config, extlinux, partition, state):
        path.unlink()


def _initramfs(boot: Path, added: Mapping[str, Path]) -> bytes:
    busybox = shutil.which("busybox")
    if busybox is None:
        raise LabError("busybox is not installed; run: python3 -m tests.labs.packages guest")
    archive = Archive()
    for place in _DIRECTORIES:
        archive.directory(place, 0o1777 if place.endswith("tmp") else 0o755)
    archive.directory("root", 0o700)
    # The kernel opens it for the first process, before there is a devtmpfs.
    archive.character_device("dev/console", 5, 1)
    archive.link("var/run", "../run")
    for name, place in _PLACES.items():
        archive.file(place, (_FILES / name).read_bytes(), _mode(name))
    for place, text in _TEXTS.items():
        archive.file(place, text.encode())
    archive.file("etc/shadow", b"root:*:19000:0:99999:7:::\n", 0o600)
    archive.file("usr/sbin/ims-context", guest.program(), 0o755)
    for path in sorted((boot / "modules").iterdir()):
        archive.file(f"lib/modules/{path.name}", path.read_bytes())

    archive.file("bin/busybox", Path(busybox).read_bytes(), 0o755)
    for place in run(busybox, "--list-full").split():
        archive.link(place, "/bin/busybox")
    _add_xenstore(archive)
    for place, path in sorted(added.items()):
        archive.file(place.lstrip("/"), path.read_bytes(), 0o755)
    # Debian's busybox lacks these; one script stands in for them.
    for name in ("addgroup", "chpasswd"):
        archive.link(f"usr/sbin/{name}", "adduser")
    # Where udhcpc looks is decided when busybox is built; Debian's looks here. Without its
    # script nobody brings the interface up, and then not even -n makes it give up.
    archive.link("etc/udhcpc/default.script", "/usr/share/udhcpc/default.script")
    return archive.finish()


def _add_xenstore(archive: Archive) -> None:
    """How a guest of Xen reads its context and answers: Debian's programs, with libraries."""
    programs = [Path("/usr/bin", name) for name in ("xenstore-read", "xenstore-write")]
    libraries = re.findall(r"(/\S+) \(0x", run("ldd", *programs))
    for path in [*programs, *(Path(each) for each in sorted(set(libraries)))]:
        archive.file(str(path).lstrip("/"), path.read_bytes(), 0o755)


def _mode(name: str) -> int:
    return 0o644 if name == "inittab" else 0o755


def main(arguments: Sequence[str]) -> int:
    """Build the image and print its path; a failure goes to stderr and the exit status."""
    if arguments:
        print("usage: python3 -m tests.labs.tiny_guest", file=sys.stderr)
        return 2
    try:
        print(build())
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
