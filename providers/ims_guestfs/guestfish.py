"""guestfish as a child that answers one command after the other, within a time.

It gets its commands by a pipe, and what is written into the guest by an open file in memory:
nothing of it stands in the arguments of a process or on a disk of this machine, and nothing is left
of it if this process is killed.
"""

from __future__ import annotations

import os
import re
import secrets
import selectors
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ims_core.errors import CancelledError, DeadlineError
from ims_guestfs.script import line

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Guestfish", "GuestfishError", "running"]

_LONGEST_ANSWER = 4 << 20
_LONGEST_COMPLAINT = 4096
_LONGEST_SHOWN = 300
_READ = 65536
_END_SECONDS = 5.0
_LOOK_SECONDS = 0.02
_TEMPORARY = "/var/tmp"  # noqa: S108 - private directories in it; libguestfs proves whose they are
"""Where libguestfs keeps its machine by default. A longer path might be too long for a socket."""
_ERROR = re.compile(rb"libguestfs: error: (.*)")


class GuestfishError(Exception):
    """guestfish refused a command, or ended; the text is its own, made fit for a terminal."""


@contextmanager
def running(*, accelerated: bool, timeout: float) -> Iterator[Guestfish]:
    """A guestfish, and nothing that it started afterwards.

    The kernel ends it with the thread that called this, also if that is killed; QEMU is then ended
    by a process with which libguestfs watches over it.

    Args:
        accelerated: Whether the CPU's virtualization may be used. A KVM that does not work hangs.
        timeout: Seconds for all of it.
    """
    end = time.monotonic() + timeout
    content = os.memfd_create("ims-content")
    try:
        with TemporaryDirectory(prefix="ims-guestfish-", dir=_TEMPORARY) as folder:
            process = subprocess.Popen(
                _command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(content,),
                cwd=folder,
                env=_environment(folder, accelerated=accelerated),
                start_new_session=True,  # a group that is ended as one; and Ctrl-C is ours to hear
            )
            with _ended_with_its_group(process):
                fish = Guestfish(process, content, end, timeout)
                try:
                    yield fish
                except (DeadlineError, CancelledError):
                    raise  # nobody waits for it any more
                except Exception:
                    with suppress(GuestfishError, DeadlineError):
                        fish.finish()  # it removes what it made in /tmp
                    raise
    finally:
        os.close(content)


@contextmanager
def _ended_with_its_group(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        with process:
            try:
                yield
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # its number is given away only after this
    finally:
        _await_end(process.pid)


def _command() -> list[str]:
    setpriv = shutil.which("setpriv")
    before = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
    return [*before, "guestfish"]


def _environment(folder: str, *, accelerated: bool) -> dict[str, str]:
    """Nothing of ours; its sockets and temporary files where they are removed at the end."""
    words = {
        "LC_ALL": "C",
        "PATH": os.environ.get("PATH", os.defpath),
        "LIBGUESTFS_BACKEND": "direct",
        "LIBGUESTFS_CACHEDIR": _TEMPORARY,
        "TMPDIR": folder,
        "XDG_RUNTIME_DIR": folder,
    }
    if not accelerated:
        words["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    return words


def _await_end(group: int) -> None:
    """Wait until QEMU, killed, has let go of the image: a VM may be started from it at once."""
    end = time.monotonic() + _END_SECONDS
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(_LOOK_SECONDS)


class Guestfish:
    """The conversation with a guestfish; made by :func:`running`.

    Args:
        process: With pipes for all that it reads and says.
        content: A file in memory that it was given.
        end: On the monotonic clock.
        seconds: What ``end`` was made from, for the error.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], content: int, end: float, seconds: float
    ) -> None:
        """Listen to what it says."""
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - pipes
        self._stdin = process.stdin
        self._content = content
        self._end, self._seconds = end, seconds
        self._answer = bytearray()
        self._complaint = bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(process.stdout, selectors.EVENT_READ, self._answer)
        self._selector.register(process.stderr, selectors.EVENT_READ, self._complaint)

    def ask(self, name: str, *arguments: str) -> str:
        """What it prints for a command, without the last newline.

        Raises:
            GuestfishError: It complained; it can be asked again.
            DeadlineError: ``injection-timeout``.
        """
        answer = self._exchange(line(f"-{name}", *arguments))
        if self._complaint:
            raise self._refusal()
        return answer

    def is_true(self, name: str, *arguments: str) -> bool:
        """The same for a question of yes or no."""
        return self.ask(name, *arguments) == "true"

    def launch(self) -> None:
        """Start the machine in which it works.

        It may warn of things here that are none, so that what counts is whether it goes on.

        Raises:
            GuestfishError: It ended.
            DeadlineError: ``injection-timeout``.
        """
        self._exchange(line("launch"))

    def upload(self, content: bytes, path: str) -> None:
        """Write a file in the guest; errors as of :meth:`ask`."""
        with open(self._content, "wb", closefd=False) as file:
            file.truncate(0)
            file.seek(0)
            file.write(content)
        self.ask("upload", f"/proc/self/fd/{self._content}", path)

    def finish(self) -> None:
        """Bring everything onto the image, and have it end; errors as of :meth:`ask`."""
        self.ask("shutdown")
        self._stdin.close()
        while self._selector.get_map():
            self._listen()

    def _exchange(self, command: bytes) -> str:
        # Nobody can know this word beforehand, so nothing in an image can pretend the end.
        end = secrets.token_hex()
        self._answer.clear()
        self._complaint.clear()
        with suppress(BrokenPipeError):  # it ended; why, it has said
            self._stdin.write(command + line("echo", end))
        mark = f"{end}\n".encode()
        while not self._answer.endswith(mark):
            if not self._selector.get_map():
                raise self._refusal()
            self._listen()
        while self._hear(0):
            pass  # its complaints were in the pipe before the mark
        answer = self._answer.removesuffix(mark).removesuffix(b"\n")
        return answer.decode("utf-8", "surrogateescape")

    def _listen(self) -> None:
        """Take in what it says next, as long as there is time."""
        if not self._hear(max(self._end - time.monotonic(), 0)):
            raise DeadlineError(
                f"libguestfs was not done within {self._seconds:g} seconds; each file in the guest "
                "is whole, or as it was",
                code="injection-timeout",
                hint="give it more time with --timeout; without KVM it needs half a minute",
            )

    def _hear(self, seconds: float) -> bool:
        """Whether it said anything in that time."""
        ready = self._selector.select(seconds)
        for key, _events in ready:
            data = os.read(key.fd, _READ)
            key.data.extend(data)
            if not data:
                self._selector.unregister(key.fileobj)
        del self._complaint[:-_LONGEST_COMPLAINT]
        if len(self._answer) > _LONGEST_ANSWER:
            raise GuestfishError("the answer is too long")
        return bool(ready)

    def _refusal(self) -> GuestfishError:
        said = b"; ".join(_ERROR.findall(self._complaint)) or self._complaint.strip()
        text = said.decode("utf-8", "backslashreplace")
        clean = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        return GuestfishError(clean[:_LONGEST_SHOWN] or "guestfish ended without a word")
