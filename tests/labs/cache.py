"""The labs' cache: what is built once and used until its inputs change.

An entry is a directory ``<root>/<name>/<key>``. It is built in a temporary
directory beside it and renamed into place, so an entry that exists is whole.
Old entries stay: a disk overlay of a running guest may still have one as its
backing file. Deleting the whole cache directory is always safe when no lab runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.labs import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DIGEST_CHARACTERS = 16


def root() -> Path:
    """Return the cache directory, ``$IMS_LAB_CACHE`` or ``~/.cache/ims-labs``; make it."""
    configured = os.environ.get("IMS_LAB_CACHE")
    path = Path(configured) if configured else Path.home() / ".cache" / "ims-labs"
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


def key(*inputs: str | bytes | Path) -> str:
    """Return the key of these inputs: text and bytes as they are, a path by its content.

    A path to nothing counts as an input of its own kind, so that a file that
    appears later makes another key.
    """
    digest = hashlib.sha256()
    for part in inputs:
        content = _content(part)
        # The length goes first, or ("ab", "c") would be the same inputs as ("a", "bc").
        digest.update(f"{type(part).__name__[:1]}{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()[:_DIGEST_CHARACTERS]


def _content(part: str | bytes | Path) -> bytes:
    if isinstance(part, Path):
        return part.read_bytes() if part.exists() else b"\0absent"
    return part.encode() if isinstance(part, str) else part


@contextmanager
def lock(name: str, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock called ``name``: one process at a time builds, starts or uses a thing.

    Without ``wait``, :class:`LabError` is raised while another process holds it.
    """
    path = root() / f"{name}.lock"
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise LabError(f"another process holds {path}") from None
        yield


def entry(name: str, entry_key: str, build: Callable[[Path], None]) -> Path:
    """Return the directory of the entry, calling ``build`` with an empty one if there is none.

    When ``build`` raises, nothing is published and the exception passes on.
    """
    path = root() / name / entry_key
    if path.is_dir():
        return path
    with lock(name):
        if path.is_dir():  # somebody else built it while we waited for the lock
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".building-", dir=path.parent))
        try:
            build(work)
            # mkdtemp makes 0700, and the hypervisor's own user must read what is inside.
            work.chmod(0o755)
            work.rename(path)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    return path
