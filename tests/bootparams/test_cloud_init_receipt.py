"""The script by which a guest of cloud-init answers, run on a machine of files."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_bootparams import guest
from ims_bootparams.digest import digest_of
from ims_bootparams.receipt import parse_receipt
from ims_core.models import User
from ims_core.registry import layout
from tests.bootparams import contexts
from tests.bootparams.helpers import run, write_files

if TYPE_CHECKING:
    from pathlib import Path

    from ims_core.models import Receipt

GOOD = b'{\n "v1": {\n  "datasource": "x",\n  "errors": []\n }\n}\n'
BAD = b"""{
 "v1": {
  "datasource": "x",
  "errors": [
   "('scripts-user', RuntimeError('Runparts: 1 failures (secret) in 1 attempted commands'))"
  ]
 }
}
"""
ALL_DONE = "files.0 ok\nfiles.1 ok\nscripts.0 ok\nscripts.1 ok\n"
# What finds and mounts the medium needs a machine; here it lies in a directory.
MEDIUM = """
find_device() { [ -d "$root/medium" ]; }
read_device() { copy_medium "$root/medium"; }
"""


class Machine:
    """A directory that the script takes for its machine."""

    def __init__(self, shell: list[str], folder: Path) -> None:
        self.shell, self.root = shell, folder / "root"
        self.context = replace(contexts.full(), interfaces=())
        self.files = layout("nocloud").render(self.context)
        script = guest.cloud_init_receipt("cidata", "ims.checks", str(self.root)).decode()
        begin = "# --- What became of the context"
        self.program = folder / "receipt"
        self.program.write_text(script.replace(begin, f"{MEDIUM}\n{begin}", 1))
        write_files(
            self.root,
            {
                **{f"medium/{name}": content for name, content in self.files.items()},
                "medium/ims.nonce": b"n-1\n",
                "proc/sys/kernel/hostname": b"web-1\n",
                "etc/passwd": b"root:x:0:0::/:/bin/sh\nalice:x:1:1::/:/bin/sh\nbob:x:2:2::/:\n",
                "run/cloud-init/result.json": GOOD,
                "var/lib/ims/cloud-init/results": ALL_DONE.encode(),
                "sys/class/virtio-ports/vport1p2/name": b"org.ims.receipt.0\n",
                "dev/vport1p2": b"",
            },
        )

    def receipt(self) -> Receipt:
        """Run it as cloud-init does; it answers later, in the background."""
        begun = time.monotonic()
        run(*self.shell, self.program)
        assert time.monotonic() - begun < 5, "the boot does not wait for it"
        end = time.monotonic() + 20
        while not (found := parse_receipt((self.root / "dev/vport1p2").read_bytes())):
            assert time.monotonic() < end
            time.sleep(0.05)
        return found


@pytest.fixture
def machine(shell: list[str], tmp_path: Path) -> Machine:
    return Machine(shell, tmp_path)


def results(receipt: Receipt) -> dict[str, str]:
    return {item.name: "ok" if item.ok else item.message for item in receipt.items}


def test_a_guest_that_did_all_of_it_says_so(machine: Machine) -> None:
    receipt = machine.receipt()
    assert receipt.problem(digest=digest_of(machine.files), nonce="n-1") == ""
    names = ("cloud-init", "hostname", "users.0", "users.1")
    steps = ("files.0", "files.1", "scripts.0", "scripts.1")
    assert results(receipt) == dict.fromkeys((*names, *steps), "ok")


def test_what_went_wrong_is_named_and_no_secret_is(machine: Machine) -> None:
    write_files(
        machine.root,
        {
            "run/cloud-init/result.json": BAD,
            "proc/sys/kernel/hostname": b"localhost\n",
            "etc/passwd": b"root:x:0:0::/:/bin/sh\nalice:x:1:1::/:/bin/sh\n",
            "var/lib/ims/cloud-init/results": (
                b"files.0 ok\nfiles.1 ok\n"
                b"scripts.0 exit status 3; see /var/log/cloud-init-output.log\n"
            ),
        },
    )
    assert results(machine.receipt()) == {
        "cloud-init": "scripts-user failed; see /var/log/cloud-init.log",
        "hostname": "the host name is localhost",
        "users.0": "ok",
        "users.1": "there is no user bob",
        "files.0": "ok",
        "files.1": "ok",
        "scripts.0": "exit status 3; see /var/log/cloud-init-output.log",
        "scripts.1": "it was not reached",
    }


def test_one_changed_byte_is_another_digest(machine: Machine) -> None:
    path = machine.root / "medium/user-data"
    path.write_bytes(path.read_bytes() + b" ")
    assert "read other bytes" in machine.receipt().problem(
        digest=digest_of(machine.files), nonce="n-1"
    )


def test_it_waits_until_cloud_init_is_done(machine: Machine) -> None:
    result = machine.root / "run/cloud-init/result.json"
    result.unlink()
    run(*machine.shell, machine.program)
    port = machine.root / "dev/vport1p2"
    time.sleep(1.5)
    assert port.read_bytes() == b""
    result.write_bytes(GOOD)
    end = time.monotonic() + 20
    while not parse_receipt(port.read_bytes()):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_address_that_is_not_there_is_named(machine: Machine) -> None:
    if "busybox" in machine.shell[0]:
        pytest.skip("busybox takes its own ip, not the one of this test")
    write_files(
        machine.root,
        {
            "sys/class/net/ens3/address": contexts.MAC.encode() + b"\n",
            "bin/ip": b"#!/bin/sh\necho '2: ens3    inet 192.0.2.10/24 scope global ens3'\n",
            "medium/ims.checks": (
                f"expect interface interfaces.0 {contexts.MAC} 192.0.2.10/24\n"
                f"expect interface interfaces.1 {contexts.MAC}\n"
                "expect interface interfaces.2 52:54:00:00:00:99\n"
            ).encode(),
        },
    )
    (machine.root / "bin/ip").chmod(0o755)
    os.environ["PATH"], before = f"{machine.root}/bin:{os.environ['PATH']}", os.environ["PATH"]
    try:
        said = results(machine.receipt())
    finally:
        os.environ["PATH"] = before
    assert said["interfaces.0"] == said["interfaces.1"] == "ok"
    assert said["interfaces.2"] == "no network card has the address 52:54:00:00:00:99"


def test_values_of_the_checks_are_data(machine: Machine, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    context = replace(contexts.small(), users=(User("alice"),), hostname="web-1")
    hostile = f"';touch {marker};'"
    checks = layout("nocloud").render(context)["ims.checks"].decode()
    # A host name cannot be hostile; this is what would happen to one that is.
    text = checks.replace("web-1", shlex.quote(hostile))
    write_files(machine.root, {"medium/ims.checks": text.encode()})
    assert "hostname" in results(machine.receipt())
    assert not marker.exists()


def test_the_step_runs_a_command_once_and_notes_its_end(shell: list[str], tmp_path: Path) -> None:
    script = guest.cloud_init_step().replace(b"/var/lib/ims/cloud-init", str(tmp_path).encode())
    step = tmp_path / "step"
    step.write_bytes(script)
    file = tmp_path / "a file"
    file.write_bytes(b"x")
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    owner = f"{os.getuid()}:{os.getgid()}"

    def status(*words: str | Path) -> int:
        return subprocess.run([*shell, step, *words], check=False).returncode

    assert status("files.0", "placed", file, digest, "0640", owner) == 0
    assert file.stat().st_mode & 0o777 == 0o640
    assert status("files.1", "placed", file, "0" * 64, "0640", owner) == 1
    assert status("scripts.0", "sh", "-c", f"echo ran >>'{tmp_path}/ran'; exit 3") == 3
    assert status("scripts.0", "sh", "-c", f"echo ran >>'{tmp_path}/ran'; exit 3") == 0
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert (tmp_path / "results").read_text().splitlines() == [
        "files.0 ok",
        "files.1 exit status 1; see /var/log/cloud-init-output.log",
        "scripts.0 exit status 3; see /var/log/cloud-init-output.log",
    ]
