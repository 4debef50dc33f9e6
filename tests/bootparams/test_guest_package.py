"""The package and the tarball of the guest program."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ims_bootparams import guest
from tests.bootparams.helpers import run

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "bootparams" / "packaging"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    target = tmp_path_factory.mktemp("built")
    run(sys.executable, FOLDER / "build.py", target)
    return target


def only(folder: Path, pattern: str) -> Path:
    [path] = folder.glob(pattern)
    return path


def test_the_package_holds_the_program_and_units_with_their_modes(built: Path) -> None:
    listing = run("dpkg-deb", "-c", only(built, "*.deb")).decode()
    found = {
        line.split()[5]: line.split()[0] for line in listing.splitlines() if line.startswith("-")
    }
    assert found == {
        "./usr/sbin/ims-context": "-rwxr-xr-x",
        "./usr/lib/systemd/system/ims-context.service": "-rw-r--r--",
        "./usr/lib/systemd/system/ims-context-watch.service": "-rw-r--r--",
        "./etc/init.d/ims-context": "-rwxr-xr-x",
        "./usr/share/doc/ims-context/guest.md": "-rw-r--r--",
    }
    assert all(line.split()[1] == "root/root" for line in listing.splitlines())
    control = run("dpkg-deb", "-f", only(built, "*.deb"), "Package", "Architecture").decode()
    assert control.split() == ["Package:", "ims-context", "Architecture:", "all"]


def test_the_same_sources_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    run(sys.executable, FOLDER / "build.py", tmp_path)
    for pattern in ("*.deb", "*.tar.gz"):
        assert only(tmp_path, pattern).read_bytes() == only(built, pattern).read_bytes()


@pytest.mark.parametrize(
    ("system", "places"),
    [
        (
            "etc/systemd/system",
            [
                "usr/lib/systemd/system/ims-context.service",
                "etc/systemd/system/multi-user.target.wants/ims-context-watch.service",
            ],
        ),
        ("etc/runlevels/default", ["etc/init.d/ims-context", "etc/runlevels/default/ims-context"]),
        ("etc/init.d", ["etc/init.d/ims-context", "etc/rc2.d/S20ims-context"]),
    ],
)
def test_the_tarball_installs_itself_into_an_image(
    built: Path, tmp_path: Path, system: str, places: list[str]
) -> None:
    image = tmp_path / "image"
    (image / system).mkdir(parents=True)
    run("tar", "-xf", only(built, "*.tar.gz"), "-C", tmp_path)
    script = only(tmp_path, "ims-context-*") / "install.sh"
    run("env", f"DESTDIR={image}", script)
    program = image / "usr/sbin/ims-context"
    assert program.read_bytes() == guest.program()
    assert program.stat().st_mode & 0o777 == 0o755
    for place in places:
        assert (image / place).is_symlink() or (image / place).exists(), place


def test_a_real_debian_tree_takes_the_package(built: Path, tmp_path: Path) -> None:
    run("dpkg-deb", "-x", only(built, "*.deb"), tmp_path)
    said = run("dash", tmp_path / "usr/sbin/ims-context", "--help").decode()
    assert said.startswith("Usage: ims-context")


@pytest.mark.parametrize("unit", ["ims-context.service", "ims-context-watch.service"])
def test_systemd_takes_the_units(built: Path, tmp_path: Path, unit: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    run("dpkg-deb", "-x", only(built, "*.deb"), tmp_path)
    text = (FOLDER / unit).read_text().replace("/usr/sbin/", f"{tmp_path}/usr/sbin/")
    path = tmp_path / unit
    path.write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "ims-context" in line]
    assert ours == []


def test_every_script_is_clean_to_shellcheck(tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    scripts = {
        "ims-context": guest.program(),
        "receipt": guest.cloud_init_receipt("cidata", "ims.checks"),
        "step": guest.cloud_init_step(),
        **{name: (FOLDER / name).read_bytes() for name in ("install.sh", "postinst", "prerm")},
        "init": (FOLDER / "ims-context.init").read_bytes(),
    }
    for name, content in scripts.items():
        path = tmp_path / name
        path.write_bytes(content)
        run("shellcheck", "--shell=sh", "--severity=warning", path)
