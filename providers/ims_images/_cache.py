"""The files of one URL in the cache: the image, what has arrived of it, and what it is.

Named after the SHA-256 of the URL: ``.lock``, ``.part``, ``.json`` and, complete, ``.image``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import time
from dataclasses import asdict, dataclass
from io import FileIO
from typing import TYPE_CHECKING

from ims_core.errors import CapacityError, DeadlineError, InvalidError
from ims_images._file import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Entry", "Remote", "private_directory"]

_POLL_SECONDS = 0.05
_MAX_SIDECAR = 64 * 1024
_NEW_FILE = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Remote:
    """What the server said the file is.

    Attributes:
        etag: A strong one; empty when there is none.
        last_modified: As the server wrote it; empty when it is too fresh to be relied on.
        size: In bytes; None when the server did not say.
    """

    etag: str = ""
    last_modified: str = ""
    size: int | None = None

    @property
    def validator(self) -> str:
        """For ``If-Range``; empty when a download cannot be resumed."""
        return self.etag or self.last_modified


def private_directory(path: Path) -> None:
    """Make the cache's directory, or make sure that only its owner can write there.

    Raises:
        InvalidError: Others could put files there.
    """
    with local_errors(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
        raise InvalidError(
            f"the image cache {shown(path)} belongs to another user, or others may write to it",
            code="cache-not-private",
            hint=f"chmod 700 {shown(path)}, or choose another directory",
        )


@contextlib.contextmanager
def local_errors(path: Path) -> Iterator[None]:
    """Turn a failure of the local disk into our errors."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise CapacityError(
                f"no space is left for the image {shown(path)}",
                code="cache-full",
                hint="free some space, or choose another directory; what has arrived is kept",
            ) from error
        raise InvalidError(
            f"the image cache cannot use {shown(path)}: {error.strerror}",
            code="cache-not-usable",
            hint="check the directory's owner and permissions",
        ) from error


class Entry:
    """The files of one URL.

    Args:
        cache: A private directory.
        url: The exact URL; it is not stored, for it may hold a secret.
    """

    def __init__(self, cache: Path, url: str) -> None:
        """Touch nothing."""
        key = hashlib.sha256(url.encode()).hexdigest()
        self.final = cache / f"{key}.image"
        self.part = cache / f"{key}.part"
        self._sidecar = cache / f"{key}.json"
        self._lock = cache / f"{key}.lock"

    @contextlib.contextmanager
    def locked(self, deadline: float) -> Iterator[None]:
        """Hold the kernel's lock on this URL; it ends with the process.

        Args:
            deadline: On the monotonic clock.

        Raises:
            DeadlineError: Another process held it all the time.
        """
        with local_errors(self._lock):
            descriptor = os.open(self._lock, os.O_RDWR | _NEW_FILE, 0o600)
        try:
            while not self._try_lock(descriptor):
                if time.monotonic() >= deadline:
                    raise DeadlineError(
                        "another process is still fetching the same image",
                        code="image-fetch-timeout",
                        hint=f"wait for it, or see who holds {shown(self._lock)} with fuser",
                    )
                time.sleep(_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def _try_lock(self, descriptor: int) -> bool:
        try:
            with local_errors(self._lock):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except InvalidError as error:
            if isinstance(error.__cause__, BlockingIOError):
                return False
            raise
        return True

    def part_size(self) -> int | None:
        """Bytes that have arrived of an unfinished download; None when there is none."""
        try:
            return self.part.stat().st_size
        except FileNotFoundError:
            return None

    def open_part(self) -> FileIO:
        """What has arrived, for reading and writing; made empty if there is nothing."""
        with local_errors(self.part):
            return FileIO(os.open(self.part, os.O_RDWR | _NEW_FILE, 0o600), "r+")

    def recorded(self) -> Remote:
        """What the server said last time; nothing when that was not kept."""
        try:
            with self._sidecar.open("rb") as file:
                data = json.loads(file.read(_MAX_SIDECAR))
            remote = Remote(**data)
        except (OSError, ValueError, TypeError):
            return Remote()
        texts = isinstance(remote.etag, str) and isinstance(remote.last_modified, str)
        return remote if texts and isinstance(remote.size, int | None) else Remote()

    def record(self, remote: Remote) -> None:
        """Keep what the server says, all or nothing."""
        temporary = self._sidecar.with_suffix(".json.new")
        flags = os.O_WRONLY | os.O_TRUNC | _NEW_FILE
        with local_errors(self._sidecar):
            with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
                json.dump(asdict(remote), file)
            temporary.replace(self._sidecar)

    def discard_part(self) -> None:
        """Remove what has arrived, after the record: without a part it would describe the image."""
        self._remove(self._sidecar, self.part)

    def forget(self) -> None:
        """Remove the image and all we know of it; the lock's file stays, for it may be held."""
        self._remove(self.final, self._sidecar, self.part)

    def _remove(self, *paths: Path) -> None:
        for path in paths:
            with local_errors(path):
                path.unlink(missing_ok=True)

    def finish(self, part: FileIO) -> Path:
        """Give the complete file its final name, and its bytes to the disk before that."""
        with local_errors(self.part):
            os.fsync(part.fileno())
            self.part.replace(self.final)
        return self.final
