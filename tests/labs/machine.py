"""A machine, or what looks like one, of a lab's own; root may enter it over SSH."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.labs import cache
from tests.labs.commands import run
from tests.labs.processes import Process, end, spawn, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "DISK",
    "QEMU",
    "Machine",
    "boot",
    "give_keys",
    "remembered",
    "shut_off",
    "start",
    "status",
]

#: The program, and the name of the disk image in the directory of what boots it.
QEMU, DISK = "qemu-system-x86_64", "disk.qcow2"

_TRY_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that was started: its lab, its process, its SSH server's port, its files."""

    lab: str
    process: Process
    port: int
    entry: str

    @property
    def directory(self) -> Path:
        """Where the lab keeps its logs and what it started."""
        return _directory(self.lab)

    @property
    def key(self) -> Path:
        """The private key of root's account."""
        return Path(self.entry, "id")

    @property
    def known_hosts(self) -> Path:
        """A known_hosts file with the server's key."""
        return self.directory / "known_hosts"

    @property
    def ssh(self) -> list[str]:
        """OpenSSH's command for it; all its uses share one connection."""
        options = (
            *("BatchMode=yes", f"UserKnownHostsFile={self.known_hosts}", "IdentitiesOnly=yes"),
            *("ControlMaster=auto", f"ControlPath={self.directory / 'ssh'}", "ControlPersist=10m"),
            *("ConnectTimeout=15", "LogLevel=ERROR"),
        )
        words = [word for option in options for word in ("-o", option)]
        return [
            *("ssh", "-F", "none", *words, "-i", str(self.key)),
            *("-p", str(self.port), "root@127.0.0.1"),
        ]

    def run(self, command: str) -> str:
        """What a command in the machine prints; raises if it fails."""
        return run(*self.ssh, command)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The machine does nothing any more, and does not say so either."""
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def answers(self, command: str) -> bool:
        """Whether a command succeeds in it by now."""
        try:
            result = subprocess.run(
                [*self.ssh, command], capture_output=True, check=False, timeout=_TRY_SECONDS
            )
        except subprocess.TimeoutExpired:
            return False
        return result.returncode == 0


def boot(
    lab: str, entry: Path, command: Callable[[Path, int], list[str]], ready: str, seconds: float
) -> Machine:
    """Start a QEMU with a fresh disk; as :func:`start`.

    Args:
        lab: Its name.
        entry: As for :func:`start`, with :data:`DISK` (it is not written to).
        command: QEMU's, for this disk and a port of this machine.
        ready: As for :func:`start`.
        seconds: As for :func:`start`.
    """
    disk = _directory(lab) / DISK
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", entry / DISK, disk)
    return start(
        lab,
        entry,
        program=QEMU,
        command=lambda port: command(disk, port),
        ready=ready,
        seconds=seconds,
    )


def start(
    lab: str,
    entry: Path,
    *,
    program: str,
    command: Callable[[int], list[str]],
    ready: str,
    seconds: float,
) -> Machine:
    """Start a machine and wait until a command succeeds in it.

    Args:
        lab: Its name.
        entry: A directory with ``id`` and ``host.pub``; see :func:`give_keys`.
        program: What runs it, as :func:`tests.labs.processes.spawn` wants it.
        command: The program's, for a port of this machine that the SSH server is to be on.
        ready: What must succeed in it.
        seconds: How long that may take.
    """
    log = _directory(lab) / "console.log"
    (_directory(lab) / "ssh").unlink(missing_ok=True)
    port = _free_port()
    process = spawn(program, command(port), log)
    machine = Machine(lab, process, port, str(entry))
    machine.known_hosts.write_text(f"[127.0.0.1]:{port} {(entry / 'host.pub').read_text()}")
    # Before it answers: one that hangs in its boot must be ours to end, too.
    partial = _state_file(lab).with_suffix(".partial")
    partial.write_text(json.dumps(asdict(machine)))
    partial.rename(_state_file(lab))
    wait_until(lambda: machine.answers(ready), process, log, seconds, f"`{ready}` succeeds")
    return machine


def remembered(lab: str) -> Machine | None:
    """The machine that was started last, if it still runs."""
    try:
        fields = json.loads(_state_file(lab).read_text())
    except FileNotFoundError:
        return None
    machine = Machine(**{**fields, "process": Process(**fields["process"])})
    return machine if machine.process.alive() else None


def shut_off(machine: Machine) -> None:
    """Take its power away: its disk was made for this one start."""
    subprocess.run(
        [*machine.ssh[:-1], "-O", "exit", machine.ssh[-1]], capture_output=True, check=False
    )
    end(machine.process)
    _state_file(machine.lab).unlink(missing_ok=True)
    (machine.directory / DISK).unlink(missing_ok=True)


def status(running: Machine | None, hint: str) -> str:
    """Describe it in lines of ``word: value``; the hint is the command that starts it."""
    if running is None:
        return f"state: stopped\nhint: {hint}"
    return "\n".join(
        [
            "state: running",
            f"pid: {running.process.pid}",
            f"port: {running.port}",
            f"ssh: {' '.join(running.ssh)}",
        ]
    )


def give_keys(work: Path, tree: Path, name: str) -> None:
    """Let root into the system in a tree by a key of its own, and call that system by a name.

    ``id`` in ``work`` is the private key, ``host.pub`` the line of the server's own key.
    """
    make = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "")
    run(*make, "-C", "ims-lab", "-f", work / "id")
    (tree / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    (tree / "root/.ssh/authorized_keys").write_bytes((work / "id.pub").read_bytes())
    run(*make, "-C", name, "-f", tree / "etc/ssh/ssh_host_ed25519_key")
    (work / "host.pub").write_bytes((tree / "etc/ssh/ssh_host_ed25519_key.pub").read_bytes())
    (tree / "etc/hostname").write_text(f"{name}\n")
    (tree / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n")


def _directory(lab: str) -> Path:
    path = cache.root() / lab
    path.mkdir(exist_ok=True)
    return path


def _state_file(lab: str) -> Path:
    return _directory(lab) / "machine.json"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
