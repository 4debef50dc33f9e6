"""The Manager as a process of its own: started, recognised again, ended."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.labs import cache, xen
from tests.labs.ovm.control import ROOT, Control
from tests.labs.ovm.manager import Authentication
from tests.labs.processes import Process, end, spawn, wait_until

__all__ = ["AUTHENTICATION", "POOL", "ManagerProcess", "begin", "finish", "remembered"]

#: Whom the lab's Manager answers, and the name of its server pool.
AUTHENTICATION = Authentication("basic")
POOL = "pool"

_READY_SECONDS = 60.0
_ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class ManagerProcess:
    """A Manager that was started, with its port, and whether its dom0 was started for it."""

    process: Process
    port: int
    started_dom0: bool

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def control(self) -> Control:
        """Orders for it."""
        return Control(self.url)


def directory() -> Path:
    """Return where the lab keeps its log and what it started."""
    path = cache.root() / "ovm"
    path.mkdir(exist_ok=True)
    return path


def begin(machine: xen.Machine, *, started_dom0: bool) -> ManagerProcess:
    """Start the Manager of this dom0, and wait until it answers.

    A Manager of the same dom0 that has ended, or was killed, is gone on with, on its port.
    """
    # A dom0 has a fresh disk at each start, and a Manager must not remember another's VMs.
    memory = directory() / f"dom0-{machine.process.pid}-{machine.process.start_ticks}"
    for other in set(directory().glob("dom0-*")) - {memory}:
        shutil.rmtree(other)
    memory.mkdir(exist_ok=True)
    before = _read()
    again = before is not None and (memory / "manager.db").exists()
    port = before.port if before and again else _free_port()
    started_dom0 = started_dom0 or bool(before and again and before.started_dom0)
    log = directory() / "manager.log"
    module = ("-m", "tests.labs.ovm.serve", str(memory), str(port))
    command = [f"PYTHONPATH={_ROOT}:{os.environ.get('PYTHONPATH', '')}", sys.executable, *module]
    process = spawn(Path(sys.executable).name, command, log)
    manager = ManagerProcess(process, port, started_dom0)
    partial = _state_file().with_suffix(".partial")
    partial.write_text(json.dumps(asdict(manager)))
    partial.rename(_state_file())
    wait_until(lambda: _answers(manager), process, log, _READY_SECONDS, "the Manager answers")
    return manager


def remembered() -> ManagerProcess | None:
    """The Manager that was started last, if it still runs."""
    manager = _read()
    return manager if manager and manager.process.alive() else None


def finish(*, at_once: bool = False) -> bool:
    """End the Manager, if it runs; ``at_once`` begins with SIGKILL. Another can go on."""
    manager = remembered()
    return manager is not None and end(manager.process, at_once=at_once)


def started_dom0() -> bool:
    """Whether the dom0 was started for the Manager that was started last."""
    manager = _read()
    return manager is not None and manager.started_dom0


def forget() -> None:
    """There is nothing to be gone on with."""
    _state_file().unlink(missing_ok=True)


def _answers(manager: ManagerProcess) -> bool:
    try:
        with urllib.request.urlopen(f"{manager.url}{ROOT}requests", timeout=5):  # noqa: S310
            return True
    except OSError:
        return False


def _read() -> ManagerProcess | None:
    try:
        fields = json.loads(_state_file().read_text())
    except FileNotFoundError:
        return None
    return ManagerProcess(Process(**fields.pop("process")), **fields)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _state_file() -> Path:
    return directory() / "manager.json"
