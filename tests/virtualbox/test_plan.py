"""What ``--dry-run`` prints is what a shell on the host would make the same machine with."""

from __future__ import annotations

import re
import shlex
import socket
from typing import TYPE_CHECKING

import pytest

from tests.virtualbox.conftest import DIRECTORY, write_config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.virtualbox.conftest import Lab

SECRET = "correct-horse-battery"  # noqa: S105 - a test looks for it
ORDER = ("--memory", "96M", "--vcpus", "2", "--disk", "1G", "--quiet")
# Chosen anew for each machine: UUIDs, operations and nonces, digests, MACs, times. And the last
# step, after VBoxManage's, is that IMS says in its mark that the machine is complete.
CHANCE = re.compile(
    r"(?<=complete&quot;:)\w+|(?<=nonce&quot;:&quot;)\w*"
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{64}\b|\b[0-9a-f]{16}\b"
    r"|(?<=MACAddress=\")[0-9A-F]{12}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|(?<=timestamp=\")\d+"
    r"|(?<=created&quot;:)[0-9.]+"
)


def planned(lab: Lab, *options: str) -> list[str]:
    done = lab.cli("create-vm", "plan01", *ORDER, "--dry-run", *options)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("VBoxManage ")]


def definition(lab: Lab) -> str:
    """The settings file, but for what is chosen anew each time.

    And but for a default of VirtualBox 7.2 that it writes at one time and leaves out at another.
    """
    settings = lab.host.run(f"cat {DIRECTORY}/vms/plan01-*/plan01/plan01.vbox")
    return CHANCE.sub("…", settings).replace(' localhost-reachable="true"', "")


def test_a_shell_makes_the_same_machine_of_what_is_planned(chroot: Lab, own_state: Path) -> None:
    # A plan names the first port of the range, whoever has it.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    write_config(own_state, chroot.host, ssh_ports=f"{port}-{port}")
    chroot.json("create-vm", "plan01", *ORDER, "--wait", "defined")
    made = definition(chroot)
    chroot.host.run(f"cp {DIRECTORY}/vms/plan01-*/seed-*.iso /tmp/plan.iso")
    chroot.json("delete-vm", "plan01", "--quiet")
    before = chroot.leftovers()
    plan = planned(chroot)
    (medium,) = {found[0] for line in plan for found in re.finditer(r"/\S+/seed-\S+\.iso", line)}
    folder = medium.rpartition("/")[0]
    assert not any(folder in each for each in chroot.leftovers()), "nothing is made by a plan"
    chroot.host.run(f"umask 077; mkdir -p {folder} && mv /tmp/plan.iso {medium}")
    chroot.host.run("set -e\n" + "\n".join(plan))
    assert definition(chroot).splitlines() == made.splitlines()
    # It is ours by its mark, and whatever makes it complete, deleting goes well.
    (vm,) = chroot.json("list-vms")
    assert (vm["name"], vm["state"]) == ("plan01", "defined")
    chroot.json("delete-vm", "plan01", "--quiet")
    chroot.is_as(before)


@pytest.mark.parametrize("carrier", ["iso", "guest-properties"])
def test_a_plan_tells_no_secret(chroot: Lab, tmp_path: Path, carrier: str) -> None:
    layout = ("--context-layout", "bootparams", "--context-carrier", carrier)
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    options = ("--secret", f"token={secret}", "--set", "plain=shown", *layout)
    plan = planned(chroot, *options)
    assert SECRET not in "\n".join(plan)
    # What travels as properties is compressed, so that none of it may be shown.
    values = [shlex.split(line)[5] for line in plan if " guestproperty set " in line]
    assert set(values) == ({"…"} if carrier == "guest-properties" else set())
