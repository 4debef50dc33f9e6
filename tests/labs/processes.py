"""Long-lived processes of a lab: start, recognise again, wait for, end by id.

A process is remembered by its id, its start time and the name of its program.
An id alone may by now belong to another process, and a name alone to somebody
else's daemon; only all three together, in the same boot, are ours.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.labs import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_REAPER = Path(__file__).with_name("reaper.py")
_POLL_SECONDS = 0.05
_SPAWN_SECONDS = 10.0
_KILL_SECONDS = 10.0
_TAIL_LINES = 30


@dataclass(frozen=True, slots=True)
class Process:
    """A process that a lab started, as it is remembered on disk."""

    program: str
    pid: int
    start_ticks: int
    boot_id: str

    def alive(self) -> bool:
        """Tell whether this very process still runs (a zombie does not)."""
        if self.boot_id != _boot_id():
            return False
        seen = _stat(self.pid)
        return seen is not None and seen == (self.program[:15], self.start_ticks)


def spawn(program: str, command: Sequence[str], log: Path) -> Process:
    """Start ``command`` in a session of its own, its output in ``log``, and return it.

    ``program`` is the name that the process has once ``command`` has replaced
    itself by it (``unshare … libvirtd`` ends up as ``libvirtd``, with the same id).
    """
    # posix_spawn and not Popen: a Popen that is dropped while its child runs warns,
    # and outliving us is what this child is for.
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        pid = os.posix_spawnp(
            "env",
            # The daemon must not pin the directory that the caller happens to be in.
            ["env", "--chdir=/", *command],
            dict(os.environ),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(output)
    return _recognise(program, pid, log)


def spawn_with_reaper(program: str, command: Sequence[str], log: Path) -> Process:
    """Like :func:`spawn`, and give the orphans of ``command`` a parent that waits for them."""
    pid_file = log.with_suffix(".pid")
    pid_file.unlink(missing_ok=True)
    reaper = spawn("ims-lab-reaper", [sys.executable, str(_REAPER), str(pid_file), *command], log)
    wait_until(pid_file.exists, reaper, log, _SPAWN_SECONDS, f"{program} is started")
    return _recognise(program, int(pid_file.read_text()), log)


def _recognise(program: str, pid: int, log: Path) -> Process:
    seen = _stat(pid, zombies=True)
    if seen is None:
        raise LabError(f"{program} ended at once; {tail(log)}")
    return Process(program, pid, seen[1], _boot_id())


def wait_until(
    ready: Callable[[], bool], process: Process, log: Path, seconds: float, what: str
) -> None:
    """Watch until ``ready()``; raise with the log's tail on the deadline or the process's end."""
    deadline = time.monotonic() + seconds
    while not ready():
        if not _exists(process):
            raise LabError(f"{process.program} ended before {what}; {tail(log)}")
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:g} s; {tail(log)}")
        time.sleep(_POLL_SECONDS)


def end(process: Process, seconds: float = 30.0, *, at_once: bool = False) -> bool:
    """End this very process: SIGTERM, then SIGKILL after ``seconds``. False if it was gone.

    ``at_once`` begins with SIGKILL, so that the process cannot tidy up.
    """
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # Asked after the handle was opened: from here on the id cannot be reused under us.
        if not process.alive():
            return False
        signals = ((signal.SIGTERM, seconds), (signal.SIGKILL, _KILL_SECONDS))
        for signal_number, patience in signals[1:] if at_once else signals:
            signal.pidfd_send_signal(handle, signal_number)
            if select.select([handle], [], [], patience)[0]:
                _reap(process.pid)
                return True
    finally:
        os.close(handle)
    raise LabError(f"{process.program} (pid {process.pid}) does not end")


def answers(path: Path) -> bool:
    """Tell whether somebody accepts connections on this UNIX socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def tail(log: Path) -> str:
    """Return the last lines of a log under a heading, for an error message."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    except OSError as error:
        return f"its log cannot be read: {error}"
    return "\n".join([f"the end of {log}:", *(lines or ["(empty)"])])


def _exists(process: Process) -> bool:
    # Unlike alive(), before the chain of execs has arrived at the program's own name.
    seen = _stat(process.pid)
    if seen is None:
        _reap(process.pid)
    return seen is not None and seen[1] == process.start_ticks


def _stat(pid: int, *, zombies: bool = False) -> tuple[str, int] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in parentheses and may itself contain spaces and parentheses.
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX" and not zombies:
        return None
    return name, int(fields[19])


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):  # another process started it
        os.waitpid(pid, os.WNOHANG)


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
