"""The guest program into a directory: whatever is prepared there, nothing outside it changes."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from ims_bootparams import guest
from ims_bootparams.digest import NONCE_FILE, digest_of
from ims_bootparams.layouts.bootparams import render
from ims_bootparams.receipt import parse_receipt
from ims_core.models import File, Script
from tests.bootparams import contexts
from tests.bootparams.helpers import write_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core.models import Context, Receipt

SECONDS = 60
PASSWD = b"root:x:0:0:root:/root:/bin/sh\n"
OUTSIDE = {
    "etc/passwd": PASSWD,
    "etc/group": b"root:x:0:\n",
    "etc/shadow": b"root:*:1:0:99999:7:::\n",
    "etc/hostname": b"outside\n",
    "sudoers.d/ims-bob": b"bob ALL=(ALL:ALL) NOPASSWD:ALL\n",
    "network/interfaces": b"auto lo\n",
    "ssh/ssh_host_ed25519_key": b"theirs\n",
    "home/.ssh/authorized_keys": b"theirs\n",
    "port": b"",
    "log": b"theirs\n",
}


@dataclass(frozen=True)
class Place:
    """A directory that is told a context, and another beside it that is none of its business."""

    shell: list[str]
    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def outside(self) -> Path:
        return self.folder / "outside"

    def command(self, *words: str) -> list[str]:
        medium = ("--medium", str(self.folder / "medium"), "--wait", "0")
        return [
            *self.shell,
            str(self.folder / "program"),
            *words,
            "--root",
            str(self.root),
            *medium,
        ]

    def insert(self, context: Context, nonce: str) -> str:
        files = render(context)
        write_files(self.folder / "medium", {**files, NONCE_FILE: nonce.encode()})
        return digest_of(files)

    def run(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(), capture_output=True, text=True, check=False, timeout=SECONDS
        )

    def receipt(self) -> Receipt | None:
        path = self.root / "run/ims/receipt"
        return parse_receipt(path.read_bytes()) if path.exists() else None

    def results(self) -> dict[str, str]:
        receipt = self.receipt()
        assert receipt is not None
        return {item.name: "ok" if item.ok else item.message for item in receipt.items}

    def noted(self) -> list[str]:
        return (self.root / "run/ims/commands").read_text().splitlines()


@pytest.fixture
def place(shell: list[str], tmp_path: Path) -> Place:
    (tmp_path / "program").write_bytes(guest.program())
    write_files(tmp_path / "outside", OUTSIDE)
    system = {"etc/passwd": PASSWD, "etc/group": b"root:x:0:\n", "etc/sudoers.d/README": b""}
    write_files(tmp_path / "root", system)
    return Place(shell, tmp_path)


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that a change would show in."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


def test_scripts_are_noted_down_and_not_run(place: Place) -> None:
    marker = place.folder / "ran"
    script = Script("mark", f"#!/bin/sh\n>{marker}\n".encode())
    place.insert(replace(contexts.small(), scripts=(script,)), "n-1")
    done = place.run()
    assert done.returncode == 0, done
    assert place.results()["scripts.0"] == "ok"
    assert not marker.exists()
    assert f"/var/lib/ims/{next(iter(scripts_of(place)))}" in place.noted()


def scripts_of(place: Place) -> list[str]:
    folder = place.root / "var/lib/ims"
    return [str(path.relative_to(folder)) for path in folder.rglob("scripts/*")]


def test_the_answer_is_kept_and_tells_the_addresses_that_were_noted_down(place: Place) -> None:
    card = {"sys/class/net/eth0/address": f"{contexts.MAC}\n".encode()}
    port = {"sys/class/virtio-ports/p/name": b"org.ims.receipt.0\n", "dev/p": b""}
    write_files(place.root, {**card, **port, "dev/xen/xenbus": b"", "dev/vboxguest": b""})
    digest = place.insert(replace(contexts.full(), scripts=()), "n-1")
    place.run()
    receipt = place.receipt()
    assert receipt is not None
    assert (receipt.digest, receipt.nonce) == (digest, "n-1")
    assert [(each.mac, each.address) for each in receipt.addresses] == [
        (contexts.MAC, "192.0.2.10/24"),
        (contexts.MAC, "2001:db8::10/64"),
    ]
    assert (place.root / "dev/p").read_bytes() == b"", "it was sent"


def links(place: Place) -> None:
    """Links wherever the program writes."""
    for name, target in {
        "etc/ssh": "ssh",
        "etc/network": "network",
        "home/alice": "home",
        "opt": "etc",
        "run/ims/commands": "log",
        "run/ims/before": "log",
        "var/lib/ims/applied": "log",
        "var/log/ims-context.log": "log",
        "etc/hostname": "etc/hostname",
        "etc/shadow": "etc/shadow",
        "etc/shadow.ims-new": "log",
    }.items():
        path = place.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(place.outside / target)
    (place.root / "etc/sudoers.d/README").unlink()
    (place.root / "etc/sudoers.d").rmdir()
    (place.root / "etc/sudoers.d").symlink_to(place.outside / "sudoers.d")
    write_files(place.root, {"usr/sbin/ifup": b"", "etc/ssh.d": b""})
    (place.root / "usr/sbin/ifup").chmod(0o755)


def hard_links(place: Place) -> None:
    """Other names of files that are outside."""
    for name in ("etc/passwd", "etc/group", "etc/shadow", "etc/hostname"):
        (place.root / name).unlink(missing_ok=True)
        (place.root / name).hardlink_to(place.outside / name)
    for name in ("run/ims/commands", "run/ims/seen", "var/lib/ims/applied"):
        (place.root / name).parent.mkdir(parents=True, exist_ok=True)
        (place.root / name).hardlink_to(place.outside / "log")


@pytest.mark.parametrize("prepare", [links, hard_links])
def test_nothing_that_is_prepared_leads_out(place: Place, prepare: Callable[[Place], None]) -> None:
    prepare(place)
    before = tree(place.outside)
    files = (
        File("/opt/file", b"x"),
        File("/etc/hostname", b"inside\n"),
        File("/UP/outside/port", b"x"),
        File("/etc/UP/UP/outside/port", b"x"),
    )
    place.insert(replace(contexts.full(), files=files), "n-1")
    conf = place.folder / "medium/bootparams.conf"
    conf.write_bytes(conf.read_bytes().replace(b"/UP", b"/.."))  # the layout would refuse it
    done = place.run()
    assert tree(place.outside) == before, done.stdout + done.stderr
    results = place.results()
    assert results["hostname"] == "ok"
    assert results["files.1"] == "ok"
    assert results["files.2"] == "/../outside/port could not be written"
    assert results["files.3"] != "ok"
    assert not (place.root / "etc/hostname").is_symlink()


def test_a_link_in_place_of_our_own_folder_ends_the_program(place: Place) -> None:
    (place.root / "run").symlink_to(place.outside)
    before = tree(place.outside)
    place.insert(contexts.small(), "n-1")
    done = place.run()
    assert done.returncode == 1
    assert "/run/ims leads out of" in done.stderr
    assert tree(place.outside) == before


def test_a_link_that_stays_below_the_directory_is_followed(place: Place) -> None:
    (place.root / "usr/etc").mkdir(parents=True)
    (place.root / "opt").symlink_to("usr")
    place.insert(replace(contexts.small(), files=(File("/opt/etc/file", b"x"),)), "n-1")
    assert place.run().returncode == 0
    assert (place.root / "usr/etc/file").read_bytes() == b"x"


def test_an_empty_directory_is_no_context_and_no_drive_is_looked_at(place: Place) -> None:
    (place.folder / "medium").mkdir()
    done = place.run()
    assert done.returncode == 0
    assert "no context was found; nothing to do" in done.stdout
    assert place.receipt() is None


def test_another_context_in_the_directory_is_noticed(place: Place) -> None:
    place.insert(contexts.small(), "n-1")
    place.run()
    with subprocess.Popen(place.command("watch"), stdout=subprocess.DEVNULL) as watching:
        try:
            digest = place.insert(replace(contexts.small(), hostname="other"), "n-2")
            end = time.monotonic() + SECONDS
            while (receipt := place.receipt()) is None or receipt.nonce != "n-2":
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            watching.kill()
    assert receipt.digest == digest
    assert (place.root / "etc/hostname").read_text() == "other\n"
