"""The end of a script that runs on this very machine."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress

__all__ = ["kill"]

_END = 5.0


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a script that leads a session of its own, and all that it started there.

    Does nothing if it has ended, and was waited for: somebody else may have its id by now.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # it hangs in the kernel
            process.wait(_END)
