"""In the quick lab, another VBoxManage in the place of the real one, and a second client of it."""

from __future__ import annotations

import shlex
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.labs.machine import Machine

__all__ = ["CALLS", "REAL", "instead", "locked"]

REAL = "/run/ims-real/VBoxManage"
"""The real one, while another stands in for it."""
CALLS = "/run/ims-real/calls"
"""A file for what a stand-in notes down."""
_HOME = "/usr/lib/virtualbox"
_LOCK = """\
import sys
import xpcom.vboxxpcom
import xpcom.components

classes = xpcom.components.classes
box = classes["@virtualbox.org/VirtualBox;1"].createInstance()
session = classes["@virtualbox.org/Session;1"].createInstance()
box.findMachine(sys.argv[1]).lockMachine(session, 2)  # for writing
print("locked", flush=True)
sys.stdin.readline()
session.unlockMachine()
"""


@contextmanager
def instead(host: Machine, script: str, mode: str = "755") -> Iterator[None]:
    """Mount a script over VBoxManage; the installation is not changed."""
    place = host.run("readlink -f /usr/bin/VBoxManage").strip()
    folder = REAL.rpartition("/")[0]
    host.run(
        f"mkdir {folder} && cp {place} {REAL} && : >{CALLS} &&"
        f" printf %s {shlex.quote(script)} >{folder}/stand-in && chmod {mode} {folder}/stand-in &&"
        f" mount --bind {folder}/stand-in {place}"
    )
    try:
        yield
    finally:
        host.run(f"umount {place} && rm -r {folder}")


@contextmanager
def locked(host: Machine, machine: str) -> Iterator[subprocess.Popen[str]]:
    """Another client of VirtualBox has a machine's settings open; a line to it ends that."""
    host.run(f"printf %s {shlex.quote(_LOCK)} >/tmp/lock.py")
    variables = (
        f"VBOX_PROGRAM_PATH={_HOME}",
        f"VBOX_SDK_PATH={_HOME}/sdk",
        f"PYTHONPATH={_HOME}/sdk/bindings/xpcom/python:{_HOME}",
        "PYTHONDONTWRITEBYTECODE=1",
    )
    command = f"env {' '.join(variables)} python3 /tmp/lock.py {shlex.quote(machine)}"
    with subprocess.Popen(
        [*host.ssh, command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        assert client.stdin is not None
        assert client.stdout.readline() == "locked\n"
        try:
            yield client
        finally:
            if not client.stdin.closed:
                client.stdin.close()
            client.wait(60)
            host.run("rm /tmp/lock.py")
