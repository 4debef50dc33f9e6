"""Builds the guest's package and tarball: ``make guest-package``.

Both are the same for the same sources: every date is ``SOURCE_DATE_EPOCH``, or 1980 without it.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from ims_bootparams import guest
from ims_core import __version__

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "guest.md"
EPOCH = os.environ.get("SOURCE_DATE_EPOCH") or "315532800"
CONTROL = f"""\
Package: ims-context
Version: {__version__}
Architecture: all
Maintainer: The IMS authors <ims@localhost>
Section: admin
Priority: optional
Depends: gawk | mawk | busybox, iproute2 | busybox
Description: tells a virtual machine who it is
 Finds the context that IMS gave the machine, applies it (host name, addresses, users, keys,
 files, scripts) and answers with a receipt.
"""


def main(target: Path) -> int:
    """Build both into a directory and print their paths."""
    target.mkdir(parents=True, exist_ok=True)
    for built in (_package(target), _tarball(target)):
        print(built)
    return 0


def _package(target: Path) -> Path:
    places = {
        "DEBIAN/control": (CONTROL.encode(), 0o644),
        "DEBIAN/postinst": (_read("postinst"), 0o755),
        "DEBIAN/prerm": (_read("prerm"), 0o755),
        "usr/sbin/ims-context": (guest.program(), 0o755),
        "usr/lib/systemd/system/ims-context.service": (_read("ims-context.service"), 0o644),
        "usr/lib/systemd/system/ims-context-watch.service": (
            _read("ims-context-watch.service"),
            0o644,
        ),
        "etc/init.d/ims-context": (_read("ims-context.init"), 0o755),
        "usr/share/doc/ims-context/guest.md": (DOCUMENT.read_bytes(), 0o644),
    }
    package = target / f"ims-context_{__version__}_all.deb"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for name, (content, mode) in places.items():
            path = Path(folder, name)
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(mode)
        for path in Path(folder).rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "--build", folder, package],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
        )
    return package


def _tarball(target: Path) -> Path:
    stem = f"ims-context-{__version__}"
    names = ("ims-context.service", "ims-context-watch.service", "ims-context.openrc")
    files = {
        "ims-context": guest.program(),
        "guest.md": DOCUMENT.read_bytes(),
        **{name: _read(name) for name in (*names, "ims-context.init", "install.sh")},
    }
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(f"{stem}/{name}")
            member.size, member.mtime = len(content), int(EPOCH)
            member.mode = 0o755 if content.startswith(b"#!") else 0o644
            tar.addfile(member, BytesIO(content))
    path = target / f"{stem}.tar.gz"
    path.write_bytes(gzip.compress(archive.getvalue(), mtime=0))
    return path


def _read(name: str) -> bytes:
    return (HERE / name).read_bytes()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")))
