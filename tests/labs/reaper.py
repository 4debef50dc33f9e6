"""A parent for a daemon's orphans, where the machine's first process buries none or slowly.

``python3 reaper.py PID_FILE COMMAND [ARGUMENT ...]`` runs the command, writes its process
id, and stays as long as there are descendants to wait for; it runs as a file of its own.

Why: libvirt detaches its guests, then waits for one that it destroys until the process is
gone altogether. Under a first process that is no real init (in containers, say) a dead
guest stays a zombie, and a destroy takes seconds or fails.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36


def main(pid_file: Path, command: list[str]) -> None:
    """Run the command and wait for it and for all that it leaves behind."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    libc.prctl(_PR_SET_NAME, b"ims-lab-reaper", 0, 0, 0)
    pid = os.posix_spawnp(command[0], command, dict(os.environ))
    # Whole at once: somebody is waiting for it to appear.
    partial = pid_file.with_suffix(".partial")
    partial.write_text(str(pid))
    partial.rename(pid_file)
    # A signal to the session is for the daemon; its guests still need us afterwards.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with contextlib.suppress(ChildProcessError):  # there is nobody left
        while True:
            os.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
