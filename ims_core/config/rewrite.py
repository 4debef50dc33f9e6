"""Replacing a file that people edit too: all of it or nothing, one process at a time."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from stat import S_IMODE
from typing import TYPE_CHECKING

from ims_core.config.load import read_text
from ims_core.errors import ConfigError, ConflictError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["rewrite"]

_LOCK_SECONDS = 10.0
_PAUSE = 0.01
_NEW_FILE = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Replace a text file by what is made of it.

    A symbolic link stays one, and its target is replaced. The file keeps its mode; a new one is
    for its owner alone.

    Args:
        path: The file; it need not exist.
        change: Given the text, empty if there is none, it returns the new one; what it raises
            leaves the file as it was.

    Raises:
        ConfigError: The file cannot be read or written.
        ConflictError: ``config-busy``: another process has been changing it for 10 seconds.
    """
    with _errors(path):
        path = path.resolve()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path):
        content = _encoded(change(read_text(path) or ""))
        with _errors(path):
            _replace(path, content)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # an argument of bytes that are no text
        raise InvalidError(
            "a value is not valid UTF-8, so it cannot stand in TOML", hint="give it in UTF-8"
        ) from None


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.new")  # under the lock nobody else has it
    with suppress(FileNotFoundError):
        new.unlink()  # of a process that was killed
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_EXCL | _NEW_FILE, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            _take_after(path, descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    _sync(path.parent)


def _take_after(path: Path, descriptor: int) -> None:
    """Give the new file the owner and the mode of the old one, if there is one."""
    with suppress(FileNotFoundError):
        old = path.stat()
        with suppress(PermissionError):  # only root may give files away
            os.fchown(descriptor, old.st_uid, old.st_gid)
        os.fchmod(descriptor, S_IMODE(old.st_mode))


def _sync(directory: Path) -> None:
    """Make a new name outlast a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock of its own beside the file, which is another file after each change.

    It stays there: whoever waits for it has it open.
    """
    lock = path.with_name(f".{path.name}.lock")
    with _errors(path):
        descriptor = os.open(lock, os.O_RDWR | _NEW_FILE, 0o600)
    try:
        end = time.monotonic() + _LOCK_SECONDS
        while not _try_lock(descriptor):
            if time.monotonic() >= end:
                raise ConflictError(
                    f"{path} is being changed by another process",
                    code="config-busy",
                    hint=f"try again; `fuser {lock}` names the process",
                )
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead to each other
        raise ConfigError(
            f"cannot change {path}: {error}", hint="IMS_CONFIG may name another file"
        ) from error
