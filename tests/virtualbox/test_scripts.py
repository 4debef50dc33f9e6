"""The scripts themselves, run here with a VBoxManage that only pretends."""

from __future__ import annotations

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import ConflictError, HypervisorError, NotFoundError
from ims_shell.archive import pack, unpack
from ims_shell.local import LocalShell
from ims_virtualbox.addresses import leases_in
from ims_virtualbox.host import VirtualBoxHost
from ims_virtualbox.scripts import script
from ims_virtualbox.surveying import survey
from tests.virtualbox.pretended import OPERATION, UUIDS, settings_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A, B = UUIDS[:2]
FOLDER = f"web-{OPERATION}"
# Machines without UUIDs, so slow that two calls at once would both find a name free.
MACHINES = """#!/bin/sh
case $2 in
list) cat "@HERE@/machines" 2>/dev/null; sleep 0.3 ;;
createvm) printf '"%s" {}\\n' "$3" >>"@HERE@/machines" ;;
esac
"""
# It tells its arguments, and those in a file that it is given.
STUB = """#!/bin/sh
case $2 in @*) cat "${2#@}" >>"@HERE@/read" ;; esac
echo "$*" >>"@HERE@/asked"
"""


class Here:
    """A VirtualBox host in a folder."""

    def __init__(self, folder: Path) -> None:
        self.pool, self.home = folder / "pool", folder / "home/.config/VirtualBox"
        self.bin = folder / "bin"
        for each in (self.pool / "vms" / FOLDER / "web", self.home, self.bin):
            each.mkdir(parents=True)
        (self.bin / "VBoxManage").write_text(STUB.replace("@HERE@", str(folder)))
        (self.bin / "VBoxManage").chmod(0o755)
        self.folder = folder
        self.host = VirtualBoxHost(LocalShell(), str(self.pool), self._script)

    def _script(self, name: str) -> str:
        text = script(name)
        assert text.count("PATH=/usr/sbin:") == 1, "the base sets PATH in another way now"
        text = text.replace("PATH=/usr/sbin:", f"PATH={self.bin}:/usr/sbin:")
        return f"HOME={self.folder}/home; unset VBOX_USER_HOME XDG_CONFIG_HOME\n{text}"

    @property
    def settings(self) -> Path:
        return self.pool / "vms" / FOLDER / "web" / "web.vbox"

    def register(self) -> Path:
        entry = f'<MachineEntry uuid="{{{A}}}" src="{self.settings}"/>'
        registry = f"<VirtualBox><Global><MachineRegistry>{entry}</MachineRegistry></Global>"
        path = self.home / "VirtualBox.xml"
        path.write_text(f"{registry}</VirtualBox>")
        self.settings.write_bytes(settings_file(A, "web"))
        return path


@pytest.fixture
def here(tmp_path: Path) -> Here:
    if shutil.which("flock") is None:
        pytest.skip("there is no flock here")
    return Here(tmp_path)


@pytest.fixture
def replacing(here: Here) -> Iterator[Path]:
    """A registry that VirtualBox replaces again and again, away first and then anew."""
    path = here.register()
    away = path.with_name("VirtualBox.xml-prev")
    ended = threading.Event()

    def replace() -> None:
        # Never in step with somebody who looks again after a fixed time.
        for pause in cycle((0.01, 0.03, 0.05, 0.07)):
            if ended.is_set():
                break
            path.rename(away)
            time.sleep(pause / 2)
            new = path.with_name("VirtualBox.xml-tmp")
            shutil.copy(away, new)
            new.rename(path)
            time.sleep(pause)

    thread = threading.Thread(target=replace)
    thread.start()
    yield path
    ended.set()
    thread.join()


def test_a_registry_that_is_being_replaced_loses_no_machine(here: Here, replacing: Path) -> None:
    assert [[each.uuid for each in survey(here.host).machines] for _ in range(8)] == [[A]] * 8


def test_a_registry_that_stays_away_is_no_host_without_machines(here: Here) -> None:
    here.register().rename(here.home / "VirtualBox.xml-prev")
    with pytest.raises(HypervisorError, match="cannot be read"):
        survey(here.host)


def test_a_virtualbox_that_was_never_used_has_no_machines(here: Here) -> None:
    assert survey(here.host).machines == []


def test_settings_come_whatever_their_path(here: Here) -> None:
    path = here.settings.with_name("-x 'é\".vbox")
    path.write_bytes(b"content")
    lines = f"{path}\n/nowhere/x.vbox\n".encode()
    told = here.host.ask("documents", stdin=lines, subject="VMs")
    assert unpack(told["documents"]) == {str(path): b"content"}


def test_leases_come_with_the_host_s_clock(here: Here) -> None:
    issued = int(time.time()) - 500
    lease = (
        '<Leases version="1.0"><Lease mac="08:00:27:aa:bb:cc" state="acked">'
        '<Address value="192.168.56.101"/><Time issued="{}" expiration="600"/></Lease></Leases>\n'
    )
    (here.home / "HostInterfaceNetworking-vboxnet0-Dhcpd.leases").write_text(lease.format(issued))
    told = here.host.ask("evidence", A, FOLDER, "poweroff", subject="VMs")
    now = float(told["now"])
    assert abs(now - time.time()) < 60
    assert len(leases_in(told["leases"], now)) == 1
    assert leases_in(told["leases"], now + 200) == []


def test_the_end_of_what_a_guest_sent_comes_in_order(here: Here) -> None:
    folder = here.pool / "vms" / FOLDER
    (folder / "receipt.kept").write_bytes(b"x" * 300_000 + b"old")
    (folder / "receipt.log").write_bytes(b"new")
    told = here.host.ask("evidence", A, FOLDER, "poweroff", subject="VMs")[f"receipt {A}"]
    assert told.endswith(b"old\nnew\n")
    assert len(told) < 300_000


def test_only_settings_that_name_a_machine_are_told_of_it(here: Here) -> None:
    here.register()
    other = here.pool / "vms" / f"db-{OPERATION}" / "db"
    other.mkdir(parents=True)
    (other / "db.vbox").write_bytes(settings_file(B, "db"))
    assert list(unpack(here.host.call("forgotten", A, subject="x"))) == [f"{FOLDER}/web/web.vbox"]
    assert unpack(here.host.call("forgotten", UUIDS[2], subject="x")) == {}


def test_secrets_are_read_from_a_file_that_is_gone_afterwards(here: Here) -> None:
    here.host.secretly(FOLDER, [("set", "a b", "it's hidden"), ("set", "c", "")], subject="x")
    assert (here.folder / "read").read_text() == "set 'a b' 'it'\"'\"'s hidden'\nset c ''\n"
    assert "hidden" not in (here.folder / "asked").read_text()
    assert sorted(os.listdir(here.pool / "vms" / FOLDER)) == ["web"]  # noqa: PTH208


def test_a_folder_that_is_gone_is_a_machine_that_is_gone(here: Here) -> None:
    with pytest.raises(NotFoundError) as caught:
        here.host.manage("startvm", A, subject="VM web", folder="other")
    assert caught.value.code == "vm-gone"
    assert not (here.folder / "asked").exists()


def test_what_was_written_before_stays_in_front_of_what_comes(here: Here) -> None:
    folder = here.pool / "vms" / FOLDER
    for text in ("one\n", "two\n"):
        (folder / "receipt.log").write_text(text)
        (folder / "console.log").write_text(text)
        here.host.call("keep", FOLDER, "start", subject="x")
    assert (folder / "receipt.kept").read_text() == "one\ntwo\n"
    assert not (folder / "console.kept").exists()
    (folder / "console.log").write_text("three\n")
    here.host.call("keep", FOLDER, "resume", subject="x")
    assert (folder / "console.kept").read_text() == "three\n"
    assert (folder / "receipt.log").read_text() == ""


def test_files_that_are_sent_take_their_place(here: Here) -> None:
    here.host.call("put", FOLDER, stdin=pack({"seed-1.iso": b"new"}), subject="x")
    path = here.pool / "vms" / FOLDER / "seed-1.iso"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o077 == 0
    here.host.call("drop", FOLDER, "seed-1.iso", "-x", subject="x")
    assert not path.exists()


def test_a_name_is_given_to_one_of_those_who_want_it_at_once(here: Here) -> None:
    (here.bin / "VBoxManage").write_text(MACHINES.replace("@HERE@", str(here.folder)))
    folders = [f"web-{digit * 16}" for digit in "123"]
    for each in folders:
        (here.pool / "vms" / each).mkdir()

    def register(folder: str) -> str:
        try:
            here.host.register("web", folder, ("createvm", "web"))
        except ConflictError as error:
            return error.code
        return "made"

    with ThreadPoolExecutor(len(folders)) as pool:
        assert sorted(pool.map(register, folders)) == ["made", "vm-exists", "vm-exists"]


@pytest.mark.parametrize("other", ["web2", "a web", 'a "web', "we", "Web", "[wW]eb"])
def test_a_name_is_compared_as_a_whole(here: Here, other: str) -> None:
    (here.bin / "VBoxManage").write_text(MACHINES.replace("@HERE@", str(here.folder)))
    (here.folder / "machines").write_text(f'"{other}" {{}}\n')
    here.host.register("web", FOLDER, ("createvm", "web"))
    assert (here.folder / "machines").read_text().splitlines()[-1] == '"web" {}'
