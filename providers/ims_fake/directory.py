"""The directory that stands for a hypervisor: what it holds outlives every process.

.. code-block:: text

    domains/<uuid>.json              one description for each VM
    volumes/<name>-<operation>.img   its disk, a sparse file
    seeds/<name>-<operation>.iso     its delivery
    overlays/<name>-<operation>.iso  the second medium, where there are two
    memory/<uuid>                    its memory, while it is suspended
    snapshots/<uuid>.<name>-<operation>.volume, .seed, .overlay, .guest, …
    templates/<name>-<operation>.img, .json
    guests/<uuid>/                   what a guest that really runs has; see the module place

Whole files appear and change by renaming, so readers need no lock. What looks before it writes
does both under the pool's lock, a flock on the directory itself.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ims_core.errors import (
    AccessDeniedError,
    CapacityError,
    HypervisorError,
    ImsError,
    UnavailableError,
)
from ims_fake.domain import Domain, from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PLACES", "Directory", "translated"]

PLACES = {
    "domain": "domains",
    "volume": "volumes",
    "seed": "seeds",
    "overlay": "overlays",
    "memory": "memory",
    "snapshot": "snapshots",
    "image": "templates",
    "manifest": "templates",
    "guest": "guests",
}
"""Folder by kind of resource."""

LOCK_SECONDS = 60.0
"""Each holder works for milliseconds, but a flock that is asked for in turns knows no queue: of
many who want it, one may lose again and again on a loaded machine."""
_LOCK_PAUSE = 0.005
_TEMPORARY = ".tmp"
_CHUNK = 1 << 20


class Directory:
    """A pool's files.

    Every method raises HypervisorError for what the file system refuses, or CapacityError when
    it is full.

    Attributes:
        requests: How often it was asked for descriptions, one or all: what would be a round trip
            to a hypervisor.
    """

    def __init__(self, root: Path) -> None:
        """Make what is missing.

        Raises:
            AccessDeniedError: This user may not write there.
            UnavailableError: It cannot be a directory.
        """
        self.root = root
        self.requests = 0
        try:
            for place in set(PLACES.values()):
                (root / place).mkdir(mode=0o700, parents=True, exist_ok=True)
        except PermissionError as error:
            raise AccessDeniedError(
                f"directory {root} cannot be written: {error.strerror}",
                hint="give the pool another `directory`, or mend its owner",
            ) from error
        except OSError as error:
            raise UnavailableError(
                f"directory {root} cannot be used: {error.strerror}",
                hint="give the pool another `directory`",
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the pool's lock.

        Raises:
            UnavailableError: Somebody else holds it for too long.
        """
        with translated(f"cannot lock {self.root}"):
            descriptor = os.open(self.root, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def path(self, kind: str, name: str) -> Path:
        """Where a resource lies; ``name`` is a plain file name, or a domain's UUID."""
        if not name or os.sep in name or name.startswith("."):
            raise HypervisorError(f"{kind} {name!r} is not the name of a file")
        file = f"{name}.json" if kind == "domain" else name
        return self.root / PLACES[kind] / file

    def make(self, path: Path, size: int, capacity: int) -> None:
        """Make an empty file that will have this size, if the pool has room for it."""
        with self.locked(), translated(f"cannot make {path}"):
            free = capacity - self.used()
            if size > free:
                raise CapacityError(
                    f"{path.name} needs {size} bytes, and the pool has {max(free, 0)} left",
                    hint="delete VMs or templates, or raise the pool's `capacity`",
                )
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                os.truncate(descriptor, size)
            finally:
                os.close(descriptor)

    def copy(self, source: Path, target: Path, capacity: int) -> None:
        """Make a copy of a sparse file, if the pool has room for it."""
        with translated(f"cannot copy {source}"):
            size = source.stat().st_size
        self.make(target, size, capacity)
        with translated(f"cannot copy {source}"):
            _copy_data(source, target)

    def put_back(self, source: Path, target: Path) -> None:
        """Replace a file by a copy of another, in one step."""
        temporary = target.with_name(target.name + _TEMPORARY)
        with translated(f"cannot copy {source}"):
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                os.truncate(descriptor, source.stat().st_size)
            finally:
                os.close(descriptor)
            _copy_data(source, temporary)
            temporary.replace(target)

    def read(self, path: Path) -> bytes:
        """A whole file."""
        with translated(f"cannot read {path}"):
            return path.read_bytes()

    def write(self, path: Path, content: bytes) -> None:
        """Put a whole file in its place, in one step."""
        temporary = path.with_name(path.name + _TEMPORARY)
        with translated(f"cannot write {path}"):
            descriptor = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            temporary.replace(path)

    def remove(self, path: Path) -> bool:
        """Remove a file, and what an interrupted write left beside it; whether it was there."""
        there = False
        for each in (path.with_name(path.name + _TEMPORARY), path):
            with translated(f"cannot remove {path}"), suppress(FileNotFoundError):
                each.unlink()
                there = True
        return there

    def files(self, place: str, suffix: str) -> Iterator[Path]:
        """The files of a folder, sorted."""
        with translated(f"cannot read {self.root / place}"):
            yield from sorted((self.root / place).glob(f"*{suffix}"))

    def used(self) -> int:
        """Bytes that all disks, media and templates take."""
        total = 0
        for place in set(PLACES.values()) - {"domains", "guests"}:
            for entry in os.scandir(self.root / place):
                with suppress(FileNotFoundError):
                    total += entry.stat().st_size
        return total

    # --- descriptions ---

    def domain(self, uuid: str) -> Domain | None:
        """One VM's description."""
        self.requests += 1
        return self._described(uuid)

    def _described(self, uuid: str) -> Domain | None:
        with suppress(FileNotFoundError), translated(f"cannot read domain {uuid}"):
            return from_json(uuid, self.path("domain", uuid).read_bytes())
        return None

    def domains(self) -> list[Domain]:
        """Every VM's description."""
        self.requests += 1
        found = (self._described(path.stem) for path in self.files("domains", ".json"))
        return [domain for domain in found if domain is not None]

    def save(self, domain: Domain) -> None:
        """Write a description; call it with the lock held."""
        self.write(self.path("domain", domain.uuid), to_json(domain).encode())

    def _lock(self, descriptor: int) -> None:
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise UnavailableError(
                        f"directory {self.root} was locked for {LOCK_SECONDS:g} s",
                        hint="`fuser` on it names the process that holds it",
                    ) from None
                time.sleep(_LOCK_PAUSE)
            else:
                return


def _copy_data(source: Path, target: Path) -> None:
    """Copy what a sparse file holds into one of the same size, without its holes."""
    with source.open("rb") as file, target.open("r+b") as copy:
        end = 0
        while True:
            try:
                begin = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole is left
                    return
                raise
            end = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            while begin < end:
                chunk = os.pread(file.fileno(), min(_CHUNK, end - begin), begin)
                begin += os.pwrite(copy.fileno(), chunk, begin)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """The file system's refusals as IMS' errors; a missing file stays what it is."""
    try:
        yield
    except (ImsError, FileNotFoundError):
        raise
    except OSError as error:
        cls = CapacityError if error.errno in (errno.ENOSPC, errno.EDQUOT) else HypervisorError
        raise cls(f"{what}: {error.strerror}") from error
