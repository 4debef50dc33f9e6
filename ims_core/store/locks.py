"""Locks by name, between the threads and the processes of one user.

The kernel gives a lock (flock(2)) back when its holder ends, however that was, so a lock that can
be taken proves that nobody is at work: there are no process ids to compare and no ages to guess.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Locks"]

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25


class Locks:
    """Locks as files of one directory; a file is there while somebody holds or wants it."""

    def __init__(self, directory: Path) -> None:
        """Nothing is made yet."""
        self._directory = directory

    @contextmanager
    def hold(self, name: str, *, seconds: float) -> Iterator[None]:
        """Hold a lock.

        Args:
            name: Of any characters.
            seconds: How long to wait for it; 0 tries once.

        Raises:
            TimeoutError: Another has held it all that time.
            OSError: The directory cannot be written.
        """
        path = self._directory / quote(name, safe="").replace(".", "%2E")
        descriptor = self._take(path, time.monotonic() + seconds)
        try:
            yield
        finally:
            # While it is held: whoever opened the file sees that it is gone, and begins anew.
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)

    def _take(self, path: Path, end: float) -> int:
        pause = _FIRST_PAUSE
        while True:
            descriptor = _open(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"lock {path.name} is held") from None
                time.sleep(min(pause, left))
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            except BaseException:
                os.close(descriptor)
                raise
            if _is_there(path, descriptor):
                return descriptor
            os.close(descriptor)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)


def _is_there(path: Path, descriptor: int) -> bool:
    """Whether the file that was locked is still the one of that name."""
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)
