"""The machine that dom0 runs in: a QEMU of the lab's own, with a fresh disk at each start."""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.labs import cache
from tests.labs.commands import run
from tests.labs.processes import Process, end, spawn, wait_until
from tests.labs.xen import dom0

__all__ = ["Machine", "boot", "remembered", "shut_off"]

#: MiB of the whole machine, and of dom0.
MEMORY, DOM0_MEMORY = 4608, 1024

_READY_SECONDS = 300.0
_PROGRAM = "qemu-system-x86_64"
_TRY_SECONDS = 20
# With -cpu max dom0 dies of a page fault. This one has AMD's virtualization, which QEMU emulates,
# so Xen runs PVH and HVM guests too; it reports what a guest's RDTSCP meant in a way that kills it.
_CPU = "Opteron_G3,-rdtscp"

# What Xen's own script for disks does with a file, without its search for others that use it: that
# takes ten seconds for each disk when it is emulated, and libxl gives up after forty.
_BLOCK_SCRIPT = """\
#!/bin/sh
set -e
case $1 in
add)
    file=$(xenstore-read "$XENBUS_PATH/params")
    case $(xenstore-read "$XENBUS_PATH/mode") in w*) access=-f ;; *) access=-rf ;; esac
    node=$file
    [ -b "$node" ] || node=$(losetup "$access" --show "$file")
    xenstore-write "$XENBUS_PATH/node" "$node" \\
        "$XENBUS_PATH/physical-device" "$(stat -L -c %t:%T "$node")" \\
        "$XENBUS_PATH/physical-device-path" "$node" "$XENBUS_PATH/hotplug-status" connected
    ;;
remove)
    node=$(xenstore-read "$XENBUS_PATH/node") || exit 0
    case $node in /dev/loop*) losetup -d "$node" ;; esac
    ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that was started: its process, the port its SSH server is on, and its files."""

    process: Process
    port: int
    entry: str

    @property
    def key(self) -> Path:
        """The private key of root's account."""
        return Path(self.entry, "id")

    @property
    def known_hosts(self) -> Path:
        """A known_hosts file with the server's key."""
        return directory() / "known_hosts"

    @property
    def ssh(self) -> list[str]:
        """OpenSSH's command for it; all its uses share one connection."""
        options = (
            *("BatchMode=yes", f"UserKnownHostsFile={self.known_hosts}", "IdentitiesOnly=yes"),
            *("ControlMaster=auto", f"ControlPath={directory() / 'ssh'}", "ControlPersist=10m"),
            *("ConnectTimeout=15", "LogLevel=ERROR"),
        )
        words = [word for option in options for word in ("-o", option)]
        return [
            *("ssh", "-F", "none", *words, "-i", str(self.key)),
            *("-p", str(self.port), "root@127.0.0.1"),
        ]

    def run(self, command: str) -> str:
        """What a command in dom0 prints; raises if it fails."""
        return run(*self.ssh, command)


def directory() -> Path:
    """Return where the lab keeps its logs and what it started."""
    path = cache.root() / "xen"
    path.mkdir(exist_ok=True)
    return path


def boot() -> Machine:
    """Start the machine and wait until ``xl`` answers in it."""
    entry = dom0.build()
    disk, log = directory() / "disk.qcow2", directory() / "console.log"
    (directory() / "ssh").unlink(missing_ok=True)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", entry / "dom0.qcow2", disk)
    port = _free_port()
    (directory() / "known_hosts").write_text(
        f"[127.0.0.1]:{port} {(entry / 'host.pub').read_text()}"
    )
    process = spawn(_PROGRAM, _command(entry, disk, port), log)
    machine = Machine(process, port, str(entry))
    # Before it answers: one that hangs in its boot must be ours to end, too.
    partial = _state_file().with_suffix(".partial")
    partial.write_text(json.dumps(asdict(machine)))
    partial.rename(_state_file())
    wait_until(lambda: _answers(machine), process, log, _READY_SECONDS, "xl answers in dom0")
    machine.run(f"cat >/etc/xen/scripts/block <<'END'\n{_BLOCK_SCRIPT}END")
    return machine


def remembered() -> Machine | None:
    """The machine that was started last, if it still runs."""
    try:
        fields = json.loads(_state_file().read_text())
    except FileNotFoundError:
        return None
    machine = Machine(Process(**fields.pop("process")), **fields)
    return machine if machine.process.alive() else None


def shut_off(machine: Machine) -> None:
    """Take its power away: its disk was made for this one start."""
    subprocess.run(
        [*machine.ssh[:-1], "-O", "exit", machine.ssh[-1]], capture_output=True, check=False
    )
    end(machine.process)
    _state_file().unlink(missing_ok=True)
    (directory() / "disk.qcow2").unlink(missing_ok=True)


def _command(entry: Path, disk: Path, port: int) -> list[str]:
    # Isolating page tables costs an emulated CPU half its time, and protects nobody here.
    xen_line = (
        f"dom0_mem={DOM0_MEMORY}M,max:{DOM0_MEMORY}M com1=115200,8n1 console=com1 noreboot"
        " xpti=no spec-ctrl=no pv-l1tf=no"
    )
    linux = f"{entry / 'vmlinuz'} root=/dev/sda ro console=hvc0 net.ifnames=0 mitigations=off quiet"
    return [
        *(_PROGRAM, "-accel", "tcg,thread=multi,tb-size=512", "-cpu", _CPU, "-smp", "2"),
        *("-m", str(MEMORY), "-display", "none", "-serial", "stdio", "-monitor", "none"),
        *("-no-reboot", "-kernel", str(entry / "xen"), "-append", xen_line),
        *("-initrd", f"{linux},{entry / 'initrd'}"),
        *("-drive", f"file={disk},format=qcow2,if=ide,cache=unsafe,discard=unmap"),
        # QEMU gives its guests' guests addresses from .100 on; by default it would give dom0's own.
        *(
            "-netdev",
            f"user,id=net,dhcpstart=10.0.2.100,hostfwd=tcp:127.0.0.1:{port}-{dom0.ADDRESS}:22",
        ),
        *("-device", "e1000,netdev=net"),
    ]


def _answers(machine: Machine) -> bool:
    try:
        result = subprocess.run(
            [*machine.ssh, "xl list"], capture_output=True, check=False, timeout=_TRY_SECONDS
        )
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _state_file() -> Path:
    return directory() / "machine.json"
