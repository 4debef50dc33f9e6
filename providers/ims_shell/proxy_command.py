"""A ``ProxyCommand``: a process that an SSH connection talks through."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import threading
from contextlib import suppress

from ims_shell.gathered import plain

__all__ = ["ProxyProcess"]

_PATIENCE = 2.0
_KEPT = 2000


class ProxyProcess:
    """The process, and our end of the socket that is its standard input and output."""

    def __init__(self, command: str) -> None:
        """Start it by ``sh``, in a session of its own."""
        self.socket, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                ["sh", "-c", command],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            self.socket.close()
            raise
        finally:
            theirs.close()
        self._complaint = b""
        self._listener = threading.Thread(target=self._listen, name="ims-ssh-proxy", daemon=True)
        self._listener.start()

    def complaint(self) -> str:
        """The end of what it wrote to standard error."""
        self._listener.join(_PATIENCE if self._ended(0) else 0)
        return plain(self._complaint).strip()

    def close(self) -> None:
        """End it, and what it started in its session. Idempotent."""
        self.socket.close()
        if self._process.returncode is None:
            # It may have something to tidy up. Until it is waited for, nobody else can get its
            # id, nor its group's.
            self._kill(signal.SIGTERM)
            self._ended(_PATIENCE)
            self._kill(signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):  # it hangs in the kernel
                self._process.wait(_PATIENCE)
        self._listener.join(_PATIENCE)

    def _ended(self, seconds: float) -> bool:
        """Whether it ends in that time; it is not waited for, in the sense of the system."""
        handle = os.pidfd_open(self._process.pid)
        try:
            return bool(select.select([handle], [], [], seconds)[0])
        finally:
            os.close(handle)

    def _kill(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _listen(self) -> None:
        stream = self._process.stderr
        if stream is None:
            return
        with stream:
            while piece := os.read(stream.fileno(), _KEPT):
                self._complaint = (self._complaint + piece)[-_KEPT:]
