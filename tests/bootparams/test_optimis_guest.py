"""The scripts on the discs of OPTIMIS, in a directory that stands for a guest."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import javaproperties
import pytest

from ims_bootparams import guest
from ims_bootparams.media import build
from ims_core.models import Carrier, Script
from tests.bootparams import contexts
from tests.bootparams.helpers import run, write_files
from tests.bootparams.judges import needs
from tests.bootparams.test_optimis import (
    OTHER,
    PRIVATE,
    PUBLIC,
    SHELLS,
    V1,
    V2,
    full,
    on_disc,
    overlay,
    secret,
    shell_words,
)
from tests.shellcheck import shellcheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ims_core.models import Context


@pytest.mark.parametrize("script", [guest.optimis_bootstrap(), guest.optimis_auto_mounter()])
def test_the_scripts_are_clean_to_shellcheck(script: bytes) -> None:
    assert shellcheck(script.decode(), "") == ""


@dataclass(frozen=True)
class Guest:
    """A directory that stands for the machine, and the disc that it has."""

    shell: list[str]
    folder: Path

    @property
    def ssh(self) -> Path:
        return self.folder / "root/root/.ssh"

    @property
    def keys(self) -> list[str]:
        return (self.ssh / "authorized_keys").read_text().splitlines()

    @property
    def ran(self) -> list[str]:
        path = self.folder / "ran"
        return path.read_text().split() if path.exists() else []

    def script(self, word: str, status: int = 0) -> bytes:
        """One that notes that it ran; its first line names an interpreter that is no shell."""
        note = f'BEGIN {{ print "{word}" >>"{self.folder}/ran"; exit {status} }}'
        return f"#!/usr/bin/awk -f\n{note}\n".encode()

    def boot(self, context: Context, **environment: str) -> int:
        disc = self.folder / "disc"
        shutil.rmtree(disc, ignore_errors=True)
        write_files(disc, V1.render(context))
        command = [*self.shell, "disc/scripts/bootstrap.sh"]
        environment = {**os.environ, "IMS_ROOT": str(self.folder / "root"), **environment}
        return subprocess.run(
            command, env=environment, cwd=self.folder, check=False, timeout=60
        ).returncode


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Guest:
    return Guest(shell_words(request.param), tmp_path)


def test_the_bootstrap_installs_the_keys_once(machine: Guest) -> None:
    machine.ssh.mkdir(parents=True)
    (machine.ssh / "authorized_keys").write_text(f"#{OTHER}")
    for _ in range(2):
        assert machine.boot(replace(full(), scripts=())) == 0
    ours = PUBLIC.replace("user@hostname", f"root@{os.uname().nodename}")
    assert machine.keys == [f"#{OTHER}", ours, OTHER]
    assert (machine.ssh / "id_rsa").read_text() == PRIVATE
    assert (machine.ssh / "id_rsa").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in machine.ssh.iterdir()) == ["authorized_keys", "id_rsa"]


def test_the_bootstrap_installs_no_private_key_where_there_is_none(machine: Guest) -> None:
    assert machine.boot(replace(contexts.small(), ssh_keys=(OTHER,))) == 0
    assert machine.keys == [OTHER]
    assert not (machine.ssh / "id_rsa").exists()
    assert (machine.ssh / "authorized_keys").stat().st_mode & 0o777 == 0o600


def test_a_guest_that_was_told_nothing_has_nothing_to_do(machine: Guest) -> None:
    assert machine.boot(contexts.small()) == 0
    assert not machine.ssh.exists()


def test_a_key_pair_of_ssh_keygen_is_installed_as_it_is(tmp_path: Path) -> None:
    pair = tmp_path / "pair"
    run(needs("ssh-keygen"), *("-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""), "-f", pair)
    public = (tmp_path / "pair.pub").read_text().strip()
    machine = Guest(["sh"], tmp_path)
    context = replace(secret("SSH.key", pair.read_text()), ssh_keys=(public,))
    assert machine.boot(context) == 0
    derived = run("ssh-keygen", "-y", "-f", machine.ssh / "id_rsa").decode().split()
    assert derived[:2] == public.split()[:2]
    assert machine.keys == [public]


def test_the_bootstrap_runs_the_agents_at_each_boot_and_each_script_once(machine: Guest) -> None:
    agents = on_disc("scripts/agents.sh", f"echo agents >>{machine.folder}/ran\n".encode())
    one, two = (Script(word, machine.script(word)) for word in ("one", "two"))
    context = replace(contexts.small(), files=(agents,), scripts=(one, two))
    assert machine.boot(context) == 0
    assert machine.ran == ["agents", "one", "two"]
    assert machine.boot(context) == 0
    assert machine.ran[3:] == ["agents"]
    changed = replace(two, content=machine.script("changed"))
    assert machine.boot(replace(context, scripts=(one, changed))) == 0
    assert machine.ran[4:] == ["agents", "changed"]


def test_a_script_that_fails_stops_no_other_and_is_tried_again(machine: Guest) -> None:
    bad = Script("bad", machine.script("bad", 3))
    good = Script("good", machine.script("good"))
    context = replace(contexts.small(), scripts=(bad, good))
    assert [machine.boot(context), machine.boot(context)] == [1, 1]
    assert machine.ran == ["bad", "good", "bad"]


def test_what_fails_is_told_and_keeps_nothing_from_being_done(machine: Guest) -> None:
    agents = on_disc("scripts/agents.sh", b"exit 3\n")
    script = Script("one", machine.script("one"))
    assert machine.boot(replace(contexts.small(), files=(agents,), scripts=(script,))) == 1
    assert machine.ran == ["one"]
    (machine.ssh / "id_rsa.new").mkdir(parents=True)  # in the way of the private key
    assert machine.boot(replace(full(), scripts=())) == 1
    assert machine.keys[-1] == OTHER


def test_scripts_of_equal_content_are_as_many_scripts(machine: Guest) -> None:
    scripts = tuple(Script(name, machine.script("same")) for name in ("first", "second"))
    assert machine.boot(replace(contexts.small(), scripts=scripts)) == 0
    assert machine.ran == ["same", "same"]


def test_what_is_run_makes_files_for_all_to_read_and_its_copy_is_root_s(machine: Guest) -> None:
    note = f"umask >>{machine.folder}/ran\n".encode()
    scripts = (Script("one", b"#!/bin/sh\n" + note),)
    context = replace(
        contexts.small(), files=(on_disc("scripts/agents.sh", note),), scripts=scripts
    )
    assert machine.boot(context) == 0
    assert [int(word, 8) for word in machine.ran] == [0o022, 0o022]
    copy = machine.folder / "root/var/lib/ims/optimis/0000"
    assert copy.stat().st_mode & 0o777 == 0o700


def test_the_context_is_found_whatever_directories_a_user_likes_to_go_to(machine: Guest) -> None:
    script = Script("one", machine.script("one"))
    (machine.folder / "liked/disc/scripts").mkdir(parents=True)
    context = replace(contexts.small(), scripts=(script,))
    assert machine.boot(context, CDPATH=str(machine.folder / "liked")) == 0
    assert machine.ran == ["one"]


# A drive is a file with an image, which no kernel needs to mount; or a directory beside it is what
# would be mounted.
MOUNT = """
mount() {
    [ "$1 $2 $3 $4" = '-t iso9660 -o ro,nosuid,nodev,noexec' ] || exit
    if [ -d "$5.d" ]; then cp -R "$5.d/." "$6"; else
        xorriso -osirrox on -indev "$5" -extract / "$6" >/dev/null 2>&1
    fi && chmod -R u+w "$6"
}
umount() { [ ! -d "$1" ] || { rm -rf "$1" && mkdir "$1"; }; }
"""


@dataclass(frozen=True)
class Mounter:
    """The auto-mounter of a guest whose drives are files of this directory."""

    folder: Path

    @property
    def view(self) -> Path:
        return self.folder / "mnt/context"

    def insert(self, drive: str, files: Mapping[str, bytes], serial: str) -> None:
        fresh = self.folder / "fresh"
        fresh.write_bytes(build(Carrier.ISO, files, V2.label, serial=serial))
        fresh.replace(self.folder / drive)

    def dm(self) -> str:
        content = (self.view / "endpoints/dm.properties").read_bytes()
        return str(javaproperties.loads(content.decode())["dm"])

    def until(self, expected: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not expected():
            assert time.monotonic() < end
            time.sleep(0.001)


@pytest.fixture(params=SHELLS)
def mounter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mounter]:
    needs("xorriso")
    script = write_files(tmp_path, {"script": MOUNT.encode() + guest.optimis_auto_mounter()})
    (tmp_path / "mnt/context").mkdir(parents=True)
    write_files(tmp_path / "disc", V2.render(full()))
    settings = {
        "OPTIMIS_CONTEXT": tmp_path / "disc",
        "OPTIMIS_DRIVES": f"{tmp_path}/sr1 {tmp_path}/hdd",
        "OPTIMIS_VIEW": tmp_path / "mnt/context",
        "OPTIMIS_STATE": tmp_path / "state",
        "OPTIMIS_PERIOD": "0.02",
    }
    words = [*shell_words(request.param), str(script / "script")]
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    with subprocess.Popen(words, env=environment) as process:
        try:
            yield Mounter(tmp_path)
        finally:
            process.kill()


def told(value: str) -> Context:
    return replace(full(), properties={"dm": value})


def test_the_recontextualization_disc_goes_over_the_context_disc(mounter: Mounter) -> None:
    mounter.until((mounter.view / "manifest.xml").exists)
    whole = {name.removeprefix("data/"): content for name, content in V2.render(full()).items()}
    seen = {str(p.relative_to(mounter.view)) for p in mounter.view.rglob("*") if p.is_file()}
    assert seen == {name for name in whole if "auto-mounter" not in name} - {".metadata"}
    # From here on the view is read without a pause, and is always whole.
    mounter.insert("hdd", overlay(told("first")), "1")
    mounter.until(lambda: mounter.dm() == "first")
    mounter.insert("hdd", overlay(told("second")), "2")
    mounter.until(lambda: mounter.dm() == "second")
    for name in set(whole) & seen - {"endpoints/dm.properties"}:
        assert (mounter.view / name).read_bytes() == whole[name]
    (mounter.folder / "hdd").unlink()
    mounter.until(lambda: mounter.dm() == full().properties["dm"])


def test_no_other_disc_goes_over_the_context_disc(mounter: Mounter) -> None:
    mounter.until((mounter.view / "manifest.xml").exists)
    mounter.insert("sr1", V2.render(told("a context disc")), "1")
    mounter.insert("hdd", overlay(told("the right one")), "2")
    mounter.until(lambda: mounter.dm() == "the right one")
    mounter.insert("hdd", {".metadata": b"type=recontextual\n", "data/endpoints/x": b""}, "3")
    mounter.until(lambda: mounter.dm() == full().properties["dm"])
    assert not (mounter.view / "endpoints/x").exists()


def test_a_disc_is_neither_executed_nor_followed_elsewhere(mounter: Mounter) -> None:
    mounter.until((mounter.view / "manifest.xml").exists)
    marker, outside = mounter.folder / "marker", mounter.folder / "outside"
    command = f"touch {marker}\n".encode()
    disc = {
        ".metadata": b"type=recontext\nversion=$(" + command + b")\n" + command,
        "data/endpoints/dm.properties": b"dm=there\n" + command,
        "recontext-scripts/auto-mounter.sh": command,
        "data/scripts/bootstrap.sh": command,
    }
    tree = write_files(mounter.folder / "hdd.d", disc)
    outside.mkdir()
    (tree / "data/away").symlink_to(outside)
    (tree / "data/endpoints/Monitor-1.properties").symlink_to("/etc/passwd")
    mounter.insert("hdd", {"x": b"any"}, "1")
    mounter.until(lambda: mounter.dm() == "there")
    assert not marker.exists()
    assert not [path for path in mounter.view.rglob("*") if path.is_symlink()]
    assert (mounter.view / "scripts/bootstrap.sh").read_bytes() == command


def test_what_is_copied_is_for_root_alone(mounter: Mounter) -> None:
    mounter.until((mounter.view / "securitykeys/SSH.key").exists)
    state = mounter.folder / "state"
    assert [path for path in (state, *state.rglob("*")) if path.stat().st_mode & 0o077] == []


def test_a_disc_whose_data_are_elsewhere_is_left_alone(mounter: Mounter) -> None:
    mounter.until((mounter.view / "manifest.xml").exists)
    outside = write_files(
        mounter.folder / "outside", {"endpoints/dm.properties": b"dm=elsewhere\n"}
    )
    tree = write_files(mounter.folder / "sr1.d", {".metadata": b"version=2\ntype=recontext\n"})
    (tree / "data").symlink_to(outside)
    mounter.insert("sr1", {"x": b"any"}, "1")
    mounter.insert("hdd", overlay(told("the right one")), "2")
    mounter.until(lambda: mounter.dm() != full().properties["dm"])
    assert mounter.dm() == "the right one"


def test_a_disc_that_would_fill_the_memory_is_left_alone(mounter: Mounter) -> None:
    mounter.until((mounter.view / "manifest.xml").exists)
    large = {**overlay(told("large")), "data/endpoints/x": b"x" * 65 * 1024 * 1024}
    write_files(mounter.folder / "sr1.d", large)
    mounter.insert("sr1", {"x": b"any"}, "1")
    mounter.insert("hdd", overlay(told("small")), "2")
    mounter.until(lambda: mounter.dm() == "small")
    assert not (mounter.view / "endpoints/x").exists()


def test_the_auto_mounter_leaves_alone_what_somebody_else_has_at_the_view(tmp_path: Path) -> None:
    write_files(tmp_path, {"script": guest.optimis_auto_mounter(), "view/x": b""})
    settings = {"OPTIMIS_VIEW": str(tmp_path / "view"), "OPTIMIS_STATE": str(tmp_path / "state")}
    command = ["sh", str(tmp_path / "script")]
    done = subprocess.run(command, env={**os.environ, **settings}, check=False, timeout=60)
    assert done.returncode != 0
    assert (tmp_path / "view/x").exists()
