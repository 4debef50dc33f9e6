"""qemu-img as a child that is bounded in memory, time and what it may write.

It is given open files and no names, so that no name can be an option, a protocol or a pattern to
it. It reads a file that may be hostile, in C: what inspection lets through is what keeps it safe,
and these limits are for what inspection did not foresee.
"""

from __future__ import annotations

import math
import os
import re
import resource
import selectors
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ims_core.errors import DeadlineError, UnsupportedError
from ims_images._file import printable, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Bounds", "by_descriptor", "find_tool", "reason", "run"]

_MEMORY = 4 << 30
"""Of addresses; qemu-img reserves far more of them than it uses."""
_LOOK_SECONDS = 0.5
_IDLE_SECONDS = 600.0
_LONGEST_WORDS = 4096
_READ = 65536
_PERCENT = re.compile(rb"\((\d{1,3}(?:\.\d+)?)/100%\)")
_END_SECONDS = 5.0


class Bounds(NamedTuple):
    """What a run may take.

    Attributes:
        seconds: From its start.
        written: Bytes of the longest file.
    """

    seconds: float
    written: int


def by_descriptor(number: int) -> str:
    """What a process calls an open file that it was given."""
    return f"/proc/self/fd/{number}"


def find_tool(path: Path, command: str) -> str:
    """Where qemu-img is.

    Args:
        path: The image that needs it, for the error.
        command: What does the same elsewhere.

    Raises:
        UnsupportedError: ``qemu-img-missing``.
    """
    tool = shutil.which("qemu-img")
    if tool is None:
        raise UnsupportedError(
            f"image {shown(path)} must be converted, and qemu-img, which does that, is not "
            "installed here",
            code="qemu-img-missing",
            hint="install qemu-utils (Debian, Ubuntu), qemu-img (Fedora, RHEL) or qemu-tools "
            f"(SUSE); or convert it elsewhere: {command}",
        )
    return tool


def run(
    line: list[str], open_files: tuple[int, ...], bounds: Bounds, tell: Callable[[float], None]
) -> tuple[int, str]:
    """Run a command of qemu-img that prints its progress.

    Args:
        line: The tool and its arguments.
        open_files: Descriptors it is given; the last is that of what it writes.
        bounds: What it may take.
        tell: Called with the percent that are done, twice a second and more; what it raises kills
            the child.

    Returns:
        Its status, negative if a signal ended it; and its last words.

    Raises:
        DeadlineError: ``image-convert-timeout``.
    """
    # Few arenas: glibc would reserve 64 MiB of addresses for each of many threads.
    words = {"LC_ALL": "C", "MALLOC_ARENA_MAX": "2", "PATH": os.environ.get("PATH", os.defpath)}
    process = subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=open_files,
        env=words,
        start_new_session=True,  # Ctrl-C is ours to hear
    )
    with process:
        try:
            _limit(process.pid, bounds)
            said = _watch(process, open_files[-1], bounds.seconds, tell)
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            raise _too_slow(bounds.seconds, "it does not end") from None
        finally:
            if process.returncode is None:
                process.kill()
    return process.returncode, said


def _limit(process: int, bounds: Bounds) -> None:
    """Set the kernel's limits, which hold also if this process is killed."""
    cores = os.cpu_count() or 1
    limits = {
        resource.RLIMIT_AS: _MEMORY,
        resource.RLIMIT_CPU: math.ceil(bounds.seconds) * cores + 1,
        resource.RLIMIT_FSIZE: bounds.written,
        resource.RLIMIT_CORE: 0,
    }
    for limit, most in limits.items():
        with suppress(ProcessLookupError):  # it has ended already
            _soft, hard = resource.prlimit(process, limit)
            value = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(process, limit, (value, value))


def _watch(
    process: subprocess.Popen[bytes], written: int, seconds: float, tell: Callable[[float], None]
) -> str:
    """Read what it prints until it prints no more; returns what it complained about."""
    assert process.stdout and process.stderr  # noqa: S101, PT018 - both are pipes
    outputs = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    out, errors = outputs
    now = time.monotonic()
    end, moved, before = now + seconds, now, (0.0, 0)
    percent = 0.0
    with selectors.DefaultSelector() as selector:
        for number in outputs:
            selector.register(number, selectors.EVENT_READ)
        while selector.get_map():
            for key, _events in selector.select(_LOOK_SECONDS):
                data = os.read(key.fd, _READ)
                outputs[key.fd] = (outputs[key.fd] + data)[-_LONGEST_WORDS:]
                if not data:
                    selector.unregister(key.fd)
            if found := _PERCENT.findall(outputs[out]):
                percent = min(float(found[-1]), 100.0)
            tell(percent)
            now, state = time.monotonic(), (percent, os.fstat(written).st_blocks)
            if state != before:
                moved, before = now, state
            if now >= end:
                raise _too_slow(seconds, f"it was at {percent:g} %")
            if now - moved >= _IDLE_SECONDS:
                raise _too_slow(_IDLE_SECONDS, f"it has stood at {percent:g} % all that time")
    return printable(outputs[errors].decode("utf-8", "backslashreplace").strip())


def _too_slow(seconds: float, how_far: str) -> DeadlineError:
    return DeadlineError(
        f"qemu-img did not convert the image within {seconds:g} seconds: {how_far}",
        code="image-convert-timeout",
        hint="give it more time with --timeout; or convert it beforehand",
    )


def reason(status: int) -> str:
    """Why it ended, when it said nothing of that itself."""
    if status >= 0:
        return f"it ended with status {status}"
    limits = {signal.SIGXFSZ: "it wrote far more than such a disk needs"}
    limits[signal.SIGXCPU] = "it used more processor time than it was given"
    number = signal.Signals(-status)
    return limits.get(number, f"it was ended by {number.name}")
