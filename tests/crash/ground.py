"""Where a victim lives: a pool and a store that are seen without ims, and put back as they were."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.crash.points import Plan

__all__ = [
    "FOREIGN",
    "KEPT",
    "POOL",
    "SPARE",
    "TOLD",
    "TWO_MEDIA",
    "VICTIM",
    "Ground",
    "Seen",
    "World",
    "fingerprint",
]

POOL = "lab"
VICTIM, KEPT, FOREIGN = "crash01", "crash02", "crash03"
SPARE = "crash-spare"
TOLD = "told-again"
"""What update-context tells; it is looked for in the bytes of a medium."""

TWO_MEDIA = ("--context-layout", "optimis-v2", "--wait", "running")
"""For create-vm: a layout with a second medium, on which what is told again travels."""

_REPOSITORY = Path(__file__).parents[2]
_PATHS = (_REPOSITORY, *(_REPOSITORY / name for name in ("providers", "bootparams", "cli")))
_SECONDS = 150.0
_OPEN = ("running", "unfinished")


@dataclass(frozen=True, slots=True)
class Seen:
    """A VM with our mark, as the hypervisor's own tools or files show it.

    Attributes:
        media: What is in its drives; an empty image where that is missing.
    """

    uuid: str
    operation: str
    complete: bool
    running: bool
    media: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class World:
    """Everything that there is.

    Attributes:
        things: What must not change by itself: a fingerprint by a name that says what it is.
        vms: The VMs with our mark, by name.
        templates: The names of those that are published.
        contexts: What the store means a VM to be told, as text by UUID.
        stored: The UUIDs of the VMs whose mark in the store is complete.
        operations: The ids of what was recorded, and ``unfinished`` those that never ended.
        tables: The names of the store's tables.
    """

    things: Mapping[str, str]
    vms: Mapping[str, Seen]
    templates: frozenset[str]
    contexts: Mapping[str, str]
    stored: frozenset[str]
    operations: frozenset[str]
    unfinished: tuple[str, ...]
    tables: frozenset[str]


@dataclass
class Ground(ABC):
    """A directory with a configuration and a store, and a pool somewhere.

    Attributes:
        root: Everything of ours is here.
        saved: A copy of the store by the name of a base, and ``worlds`` all that there was.
    """

    root: Path
    saved: dict[str, Path] = field(default_factory=dict)
    worlds: dict[str, World] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.root / "state"

    # --- running ---

    def ims(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``ims`` as a new process."""
        return self._run("ims_cli", *arguments)

    def well(self, *arguments: str) -> None:
        """The same; it must succeed."""
        done = self.ims(*arguments)
        assert done.returncode == 0, f"ims {' '.join(arguments)}: {done.stderr}"

    def victim(self, plan: Plan, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``ims`` as a victim until it ends."""
        return self._run("tests.crash.victim", plan.to_json(), *arguments)

    def victim_process(self, plan: Plan, *arguments: str) -> subprocess.Popen[str]:
        """Run ``ims`` as a victim that the parent talks to."""
        return subprocess.Popen(
            [sys.executable, "-m", "tests.crash.victim", plan.to_json(), *arguments],
            env=self._environment(),
            cwd=_REPOSITORY,
            pass_fds=(plan.here, plan.go),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _run(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=self._environment(),
            cwd=_REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, _PATHS)),
            "IMS_CONFIG": str(self.root / "ims.toml"),
            "IMS_STATE": str(self.state),
        }

    # --- the pool ---

    @property
    @abstractmethod
    def roots(self) -> dict[str, str]:
        """The directories whose files a victim changes itself, for :class:`Plan`."""

    @property
    @abstractmethod
    def address(self) -> str:
        """A static address that is free."""

    @abstractmethod
    def pool(self) -> tuple[dict[str, str], dict[str, Seen], frozenset[str]]:
        """Things, VMs and templates of the pool; see :class:`World`."""

    @abstractmethod
    def missing(self, vm: Seen, things: set[str]) -> list[str]:
        """What a whole VM has, and is not among these things."""

    @abstractmethod
    def owns(self, vm: Seen, thing: str) -> bool:
        """Whether a thing, which is not a row of the store, belongs to the victim."""

    @abstractmethod
    def save_pool(self, base: str) -> None:
        """Keep the pool as it is now."""

    @abstractmethod
    def restore_pool(self, base: str) -> None:
        """Put the pool back."""

    def save(self, base: str) -> None:
        """Keep everything as it is now, under the name of a base."""
        shutil.rmtree(self.root / "saved" / base, ignore_errors=True)
        self.saved[base] = self.root / "saved" / base / "state"
        shutil.copytree(self.state, self.saved[base])
        self.save_pool(base)
        self.worlds[base] = self.look()

    def restore(self, base: str) -> None:
        """Put everything back."""
        shutil.rmtree(self.state)
        shutil.copytree(self.saved[base], self.state)
        self.restore_pool(base)

    # --- looking ---

    def look(self) -> World:
        """See everything, the pool and the store; changes nothing."""
        things, vms, templates = self.pool()
        tables = self._tables()
        return World(
            things | dict(_rows(tables)),
            vms,
            templates,
            {row["uuid"]: row["context"] for row in tables.get("vms", [])},
            frozenset(
                row["uuid"] for row in tables.get("vms", []) if json.loads(row["mark"])["complete"]
            ),
            frozenset(str(each["id"]) for each in tables.get("operations", [])),
            _unfinished(tables),
            frozenset(tables),
        )

    def unfinished(self) -> tuple[str, ...]:
        """The operations in the store that never ended."""
        return _unfinished(self._tables())

    def _tables(self) -> dict[str, list[dict[str, Any]]]:
        return read_tables(self.state / "ims.sqlite")

    def belongs(self, vm: Seen, thing: str) -> bool:
        """Whether a thing or a row of the store belongs to the victim."""
        if thing.startswith("row "):
            return vm.uuid in thing or vm.operation in thing or f"/{VICTIM}/" in thing
        return self.owns(vm, thing)


def fingerprint(path: Path) -> str:
    """The bytes of a file and its mode."""
    if path.is_dir():
        return f"directory {path.stat().st_mode:o}"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{digest[:16]} {path.stat().st_size} {path.stat().st_mode:o}"


def read_tables(database: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of the tables that matter, read from a copy, so that looking leaves no mark."""
    with tempfile.TemporaryDirectory() as folder:
        for each in database.parent.glob(f"{database.name}*"):
            shutil.copy(each, folder)
        connection = sqlite3.connect(Path(folder) / database.name)
        connection.row_factory = sqlite3.Row
        try:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            wanted = {"vms", "addresses", "resources", "operations"} & {row[0] for row in found}
            return {
                table: [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608 - ours
                for table in wanted
            }
        finally:
            connection.close()


def _unfinished(tables: dict[str, list[dict[str, Any]]]) -> tuple[str, ...]:
    return tuple(
        f"{each['kind']} {each['subject']} {each['id']}"
        for each in tables.get("operations", [])
        if not _has_ended(each)
    )


def _has_ended(operation: dict[str, Any]) -> bool:
    return bool(operation["ended"]) and operation["outcome"] not in _OPEN


def _rows(tables: dict[str, list[dict[str, Any]]]) -> Iterable[tuple[str, str]]:
    """What the store knows of VMs, as things; what became of operations is history."""
    ended = {each["id"] for each in tables.get("operations", []) if _has_ended(each)}
    for table, keys in (
        ("vms", ("uuid", "name")),
        ("addresses", ("network", "address", "vm")),
        ("resources", ("operation", "kind", "name")),
    ):
        for row in tables.get(table, []):
            if row.get("operation") in ended:
                continue
            text = json.dumps({**row, "number": 0}, sort_keys=True)
            name = "/".join(str(row[key]) for key in keys)
            yield f"row {table} /{name}/", hashlib.sha256(text.encode()).hexdigest()[:16]
