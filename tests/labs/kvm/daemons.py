"""virtlogd and libvirtd for a machine where nobody runs them, with or without systemd."""

from __future__ import annotations

import json
import os
import platform
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.labs import LabError, LabUnavailableError, cache
from tests.labs.processes import Process, answers, end, spawn, spawn_with_reaper, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

LIBVIRT_SOCKET = Path("/run/libvirt/libvirt-sock")
VIRTLOGD_SOCKET = Path("/run/libvirt/virtlogd-sock")

_READY_SECONDS = 60.0
_KVM = Path("/dev/kvm")
_QEMU_CONF = Path("/etc/libvirt/qemu.conf")
_WITHOUT_KVM = Path(__file__).with_name("without_kvm.sh")

# Access by the group alone: the lab's machine has no polkit to ask.
_LIBVIRTD_CONF = """\
log_outputs = "2:stderr"
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
auth_unix_ro = "none"
auth_unix_rw = "none"
"""


def cpu_can_virtualize() -> bool:
    """Tell by the CPU's flags whether guests of type ``kvm`` can run here.

    The presence of /dev/kvm does not tell: it may exist, and open, on a machine
    whose CPU has neither vmx nor svm.
    """
    if not _KVM.exists():
        return False
    if platform.machine() not in {"x86_64", "i686"}:
        return True
    flags: set[str] = set()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            flags.update(line.split(":", 1)[1].split())
    return bool(flags & {"vmx", "svm"})


def directory() -> Path:
    """Return where the lab keeps its logs, its configuration and what it started."""
    path = cache.root() / "kvm"
    path.mkdir(exist_ok=True)
    return path


def started() -> list[Process]:
    """Return the daemons that the lab started and that still run, in starting order."""
    return [process for process in _remembered() if process.alive()]


def start() -> list[Process]:
    """Start what is missing of virtlogd and libvirtd, wait until both answer, return ours."""
    if os.geteuid() != 0:
        raise LabUnavailableError(
            "qemu:///system does not answer; run as root: python3 -m tests.labs.kvm start"
        )
    ours = started()
    if not answers(VIRTLOGD_SOCKET):
        ours.append(_start_virtlogd(ours))
    if not answers(LIBVIRT_SOCKET):
        ours.append(_start_libvirtd(ours))
    return ours


def stop() -> list[str]:
    """End the daemons that the lab started, last first, and return their names."""
    ended = [process.program for process in reversed(started()) if end(process)]
    _state_file().unlink(missing_ok=True)
    return ended


def restart_libvirtd() -> None:
    """End the libvirtd that the lab started, and start another; guests go on meanwhile.

    Raises:
        LabUnavailableError: It is not the lab's, but was found.
    """
    ours = started()
    old = [process for process in ours if process.program == "libvirtd"]
    if not old:
        raise LabUnavailableError("libvirtd is not the lab's own, so it is not restarted")
    for process in old:
        end(process)
    _start_libvirtd([process for process in ours if process not in old])


def _start_virtlogd(others: Sequence[Process]) -> Process:
    log = directory() / "virtlogd.log"
    Path("/run/lock").mkdir(exist_ok=True)  # for consoles; a bare container may lack it
    process = spawn("virtlogd", [_program("virtlogd")], log)
    _remember([*others, process])
    wait_until(lambda: answers(VIRTLOGD_SOCKET), process, log, _READY_SECONDS, "virtlogd answers")
    return process


def _start_libvirtd(others: Sequence[Process]) -> Process:
    log = directory() / "libvirtd.log"
    configuration = directory() / "libvirtd.conf"
    configuration.write_text(_LIBVIRTD_CONF)
    command = [_program("libvirtd"), "--config", str(configuration)]
    if not cpu_can_virtualize() and _KVM.exists():
        command = [*_hiding_kvm(), *command]
    process = spawn_with_reaper("libvirtd", command, log)
    _remember([*others, process])
    wait_until(lambda: answers(LIBVIRT_SOCKET), process, log, _READY_SECONDS, "libvirtd answers")
    return process


def _hiding_kvm() -> list[str]:
    kept = [
        line
        for line in _QEMU_CONF.read_text().splitlines()
        if line.partition("=")[0].strip() != "namespaces"
    ]
    # With namespaces of its own libvirt would build each guest a /dev out of ours.
    configuration = directory() / "qemu.conf"
    configuration.write_text("\n".join([*kept, "namespaces = []", ""]))
    # "slave": what the host mounts later is seen inside, and nothing gets out.
    unshare = ["unshare", "--mount", "--propagation", "slave"]
    return [*unshare, "sh", str(_WITHOUT_KVM), str(configuration)]


def _program(name: str) -> str:
    # Daemons are in sbin, which is not on everybody's path.
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))
    if found is None:
        raise LabError(f"{name} is not installed; run: python3 -m tests.labs.packages kvm")
    return found


def _state_file() -> Path:
    return directory() / "daemons.json"


def _remember(processes: Sequence[Process]) -> None:
    # Before the daemon answers: one that hangs in its start must be ours to end, too.
    text = json.dumps([asdict(process) for process in processes], indent=2)
    partial = _state_file().with_suffix(".partial")
    partial.write_text(text)
    partial.rename(_state_file())


def _remembered() -> list[Process]:
    try:
        text = _state_file().read_text()
    except FileNotFoundError:
        return []
    return [Process(**item) for item in json.loads(text)]
