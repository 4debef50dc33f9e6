"""The tiny guest's kernel and modules, out of the distribution's kernel package.

The package is downloaded and unpacked, not installed, so this needs no root.
"""

from __future__ import annotations

import lzma
import os
import platform
import re
import shutil
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.labs import LabError, LabUnavailableError, cache
from tests.labs.commands import progress, run

if TYPE_CHECKING:
    from collections.abc import Sequence

# Debian's metapackage, then Ubuntu's.
_METAPACKAGES = ("linux-image-amd64", "linux-image-virtual", "linux-image-generic")
_APT_LISTS = Path("/var/lib/apt/lists")

#: What the guest cannot do without on one of the hypervisors; what they depend on is added.
#: sr_mod and sd_mod stand before the controllers, whose loading then ends with the disks named.
REQUIRED = (
    *("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_balloon"),
    *("crc32c_generic", "ext4", "fat", "vfat", "nls_cp437", "nls_ascii"),
    *("cdrom", "isofs", "sr_mod", "sd_mod", "ata_piix", "ahci", "e1000"),
    *("xen_blkfront", "xen_netfront", "button", "evdev"),
)
#: Taken where the kernel package has them.
OPTIONAL = ("virtio_scsi", "virtio_rng", "nls_utf8", "nls_iso8859_1", "vboxguest")


def build() -> Path:
    """Return a directory with ``vmlinuz``, ``modules/*.ko``, ``modules/order`` and ``version``.

    ``order`` lists the files of the modules, each after those it depends on.
    """
    packages = _packages()
    entry_key = cache.key(*packages, Path(__file__))
    return cache.entry("kernel", entry_key, lambda work: _build(packages, work))


def unpacked(vmlinuz: Path) -> bytes:
    """The ELF file in a bzImage (Linux, Documentation/arch/x86/boot.rst: payload_offset)."""
    image = vmlinuz.read_bytes()
    setup_sectors, offset, length = image[0x1F1], *struct.unpack_from("<II", image, 0x248)
    payload = image[(setup_sectors + 1) * 512 + offset :][:length]
    # The last four bytes are the unpacked size, in Debian's and Ubuntu's formats.
    if payload.startswith(b"\xfd7zXZ"):
        return lzma.decompress(payload[:-4])
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "payload").write_bytes(payload[:-4])
        run("zstd", "-d", "-q", "--no-check", Path(scratch, "payload"), "-o", Path(scratch, "elf"))
        return Path(scratch, "elf").read_bytes()


def _packages() -> tuple[str, ...]:
    if platform.machine() != "x86_64":
        raise LabUnavailableError(f"the tiny guest is for x86_64, not {platform.machine()}")
    # To ask apt takes longer than all the rest of a build with nothing to do.
    lists = [f"{item.name} {item.stat().st_mtime_ns}" for item in sorted(_APT_LISTS.glob("*_*"))]
    entry_key = cache.key(*lists, Path(__file__))
    entry = cache.entry("kernel-package", entry_key, _write_packages)
    return tuple((entry / "packages").read_text().split())


def _write_packages(work: Path) -> None:
    found = _find_packages()
    if not found and os.geteuid() == 0:
        run("apt-get", "--quiet", "update")
        found = _find_packages()
    if not found:
        raise LabUnavailableError("apt knows no kernel package; run: apt-get update")
    (work / "packages").write_text("\n".join(found))


def _find_packages() -> list[str]:
    """Return the packages that hold the kernel and its modules, as name=version."""
    for metapackage in _METAPACKAGES:
        depends = _field(metapackage, "Depends")
        image = re.search(r"\blinux-image-[0-9][^ ,|]*", depends)
        if image is None:
            continue
        # Ubuntu splits the modules off; Debian has them with the kernel.
        names = [image[0], image[0].replace("linux-image-", "linux-modules-")]
        found = [(name, _field(name, "Version")) for name in names]
        return [f"{name}={version}" for name, version in found if version]
    return []


def _field(package: str, field: str) -> str:
    try:
        text = run("apt-cache", "show", "--no-all-versions", package)
    except LabError:
        return ""  # apt-cache fails for a package that it does not know
    found = re.search(rf"^{field}: (.*)$", text, re.MULTILINE)
    return found[1] if found else ""


def _build(packages: Sequence[str], work: Path) -> None:
    progress(f"tiny guest: fetching {' '.join(packages)}")
    with tempfile.TemporaryDirectory(prefix="ims-kernel-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        try:
            _download(packages, scratch)
        except LabError:
            if os.geteuid() != 0:
                raise
            # The mirror may hold a newer version than the lists name.
            run("apt-get", "--quiet", "update")
            _download(packages, scratch)
        tree = scratch / "tree"
        for package in sorted(scratch.glob("*.deb")):
            run("dpkg-deb", "--extract", package, tree)
        if not (tree / "lib").exists():  # a package for a merged /usr
            (tree / "lib").symlink_to("usr/lib")
        _take(tree, work)


def _download(packages: Sequence[str], directory: Path) -> None:
    # apt's own user cannot write into our directory, and says so at length when root asks.
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    run("apt-get", "--quiet", *sandbox, "download", *packages, directory=directory)


def _take(tree: Path, work: Path) -> None:
    kernels = list(tree.glob("boot/vmlinuz-*"))
    if len(kernels) != 1:
        raise LabError(f"not one kernel in the package: {kernels}")
    version = kernels[0].name.removeprefix("vmlinuz-")
    shutil.copyfile(kernels[0], work / "vmlinuz")
    (work / "version").write_text(version)

    run("depmod", "--basedir", tree, version)
    source = tree / "lib/modules" / version
    files = _load_order(source)
    target = work / "modules"
    target.mkdir()
    names = []
    for file in files:
        name = Path(file).name.partition(".ko")[0] + ".ko"
        (target / name).write_bytes(_unpacked(source / file))
        names.append(name)
    (target / "order").write_text("".join(f"{name}\n" for name in names))


def _load_order(modules: Path) -> list[str]:
    """Return the files of the wanted modules and of all they need, in loading order."""
    depends: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, needed = line.partition(":")
        depends[file] = needed.split()
    files = {_module_name(file): file for file in depends}
    builtin = (modules / "modules.builtin").read_text().split()
    present = {_module_name(file) for file in builtin}

    order: dict[str, None] = {}

    def visit(file: str) -> None:
        # depmod lists all that is needed, the nearest first.
        for needed in reversed(depends[file]):
            visit(needed)
        order.setdefault(file)

    for name in (*REQUIRED, *OPTIONAL):
        if name in files:
            visit(files[name])
        elif name in REQUIRED and name not in present:
            raise LabError(f"the kernel package has no module {name}")
    return list(order)


def _module_name(file: str) -> str:
    return Path(file).name.partition(".ko")[0].replace("-", "_")


def _unpacked(file: Path) -> bytes:
    match file.suffix:
        case ".ko":
            return file.read_bytes()
        case ".xz":
            return lzma.decompress(file.read_bytes())
        case ".zst":
            with tempfile.TemporaryDirectory() as scratch:
                run("zstd", "--decompress", "--quiet", file, "-o", Path(scratch, "module"))
                return Path(scratch, "module").read_bytes()
        case other:
            raise LabError(f"a module compressed as {other} is not known: {file.name}")
