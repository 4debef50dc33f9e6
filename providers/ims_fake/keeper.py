"""Keeps one guest: a program of its own, which is started in the folder that the guest lives in.

.. code-block:: console

    $ python keeper.py DESCRIPTION SECONDS obeys|ignores COMMAND...

It runs the command in a group of processes of its own, notes it down in the file ``power`` there,
and returns. What stays behind, detached, ends the guest when its time is over or DESCRIPTION, the
VM's, is gone; a guest does not outlive its keeper, nor anything of a guest its first process.

Nothing but the standard library is imported, and little of that: there is one for each guest.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import time

__all__ = ["ASKED", "BUSY", "CRASHED", "POWER", "look", "note"]

POWER = "power"
"""Holds a line: what the VM is once its process is gone, and which process that is."""

ASKED = "off"
CRASHED = "crashed"

BUSY = signal.SIGALRM
"""It ends by this signal where another keeper has this VM's guest."""

_LOCK = "lock"
_PATIENCE = 2  # seconds that the keeper of a guest that has just ended may take to end as well
_LOOK = 1.0  # seconds between two looks at what nobody tells of: that the VM is gone
_PR_SET_PDEATHSIG = 1


def look(pid: int) -> tuple[str, str]:
    """The kernel's letter for a process, and its birth, which no other process ever shares.

    Both are empty when it has ended, even if its parent does not know that yet.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib takes long to import
            fields = file.read().rpartition(b")")[2].split()
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:  # noqa: PTH123
            boot = file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    if fields[0] in (b"Z", b"X"):
        return "", ""
    return fields[0].decode(), f"{fields[19].decode()}@{boot.decode()}"


def note(folder: str, *words: object) -> None:
    """Write the line of ``power``, in one step."""
    path = os.path.join(folder, POWER)  # noqa: PTH118
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(" ".join(map(str, words)))
    os.replace(temporary, path)  # noqa: PTH105


def _main(description: str, seconds: float, shutdown: str, *command: str) -> int:
    os.umask(0o077)
    lock = os.open(_LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    signal.alarm(_PATIENCE)  # which ends this process
    fcntl.flock(lock, fcntl.LOCK_EX)
    signal.alarm(0)
    runs, tell = os.pipe()
    if os.fork():
        os.close(tell)
        return 0 if os.read(runs, 1) else 1
    os.close(runs)
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    guest = _run(command, shutdown)
    words = [word for pid in (guest, os.getpid()) for word in (pid, look(pid)[1] or "-")]
    note(".", CRASHED, *words)
    os.write(tell, b"!")
    os.close(tell)
    os.dup2(1, 2)
    try:
        if _ended_by_itself(guest, time.monotonic() + seconds, description):
            note(".", ASKED, *words)
    except FileNotFoundError:  # the folder is gone as well
        return 0
    finally:
        os.killpg(guest, signal.SIGKILL)  # what it left; its number is given away only here:
        os.waitpid(guest, 0)
    return 0


def _run(command: tuple[str, ...], shutdown: str) -> int:
    """Run a command as the first process of a group; the kernel ends it with this process."""
    keeper = os.getpid()
    prctl = ctypes.CDLL(None).prctl
    ready, tell = os.pipe()
    if pid := os.fork():
        os.close(tell)
        os.read(ready, 1)  # until it has its group, and is what it is to be
        os.close(ready)
        return pid
    try:
        os.setpgid(0, 0)
        prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        if os.getppid() == keeper:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            ignored = signal.SIG_IGN if shutdown == "ignores" else signal.SIG_DFL
            signal.signal(signal.SIGTERM, ignored)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            os.dup2(1, 2)
            os.execv(command[0], command)  # noqa: S606 - no shell between, on purpose
    finally:
        os._exit(127)


def _ended_by_itself(guest: int, end: float, description: str) -> bool:
    """Watch over a guest until it has ended; whether that was in good order.

    It was when the guest obeyed, and when its time was over; it was not when it was killed.
    """
    while True:
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        if ended := os.waitid(os.P_PID, guest, options):
            return ended.si_code == os.CLD_EXITED or ended.si_status == signal.SIGTERM
        if not os.path.exists(description):  # noqa: PTH110
            return False
        if (left := end - time.monotonic()) <= 0:
            print("the guest's time is over", flush=True)  # noqa: T201 - on its console
            return True
        signal.sigtimedwait({signal.SIGCHLD}, min(left, _LOOK))


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:]))
