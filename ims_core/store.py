"""What IMS intends, kept in SQLite: the context of each VM, and validated settings.

The hypervisor is the truth about what exists and runs. The file is readable by its owner alone,
because contexts hold secrets; WAL and ``synchronous=FULL`` make each commit survive a power loss.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ims_core.codec import context_from_json, context_to_json
from ims_core.errors import ConfigError
from ims_core.models import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ims_core.models import Context

__all__ = ["Intent", "Store"]

SCHEMA = 1
_CREATE = (
    "CREATE TABLE identity (store TEXT NOT NULL)",
    """CREATE TABLE vms (
        uuid TEXT PRIMARY KEY, pool TEXT NOT NULL, name TEXT NOT NULL,
        layout TEXT NOT NULL, carrier TEXT NOT NULL, context TEXT NOT NULL, mark TEXT NOT NULL
    )""",
    "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
)
_LOCK_SECONDS = 10.0
_PAUSE = 0.01


@dataclass(frozen=True, slots=True)
class Intent:
    """What a VM is meant to be told at its next start, and how; and the mark it was given."""

    uuid: str
    pool: str
    name: str
    layout: str
    carrier: str
    context: Context
    mark: Mark


class Store:
    """The store of one state directory; safe to use from several threads and processes.

    Raises:
        ConfigError: ``store-unusable``, from any method: the file is damaged, locked for too
            long, or was written by a newer IMS.
    """

    def __init__(self, directory: Path) -> None:
        """Open it, making the directory (0700) and the file (0600) if they are not there."""
        self.path = directory / "ims.sqlite"
        self._lock = threading.Lock()
        with self._errors():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(
                self.path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._use_wal()
            self._connection.execute("PRAGMA synchronous = FULL")
            self._migrate()
            self.id: str = self._connection.execute("SELECT store FROM identity").fetchone()[0]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def intent(self, uuid: str) -> Intent | None:
        """What a VM is meant to be told, if this store knows it."""
        found = self._intents("uuid = ?", uuid)
        return found[0] if found else None

    def intents(self, pool: str) -> list[Intent]:
        """What every VM of a pool is meant to be told."""
        return self._intents("pool = ?", pool)

    def marks(self, pool: str) -> dict[str, Mark]:
        """The marks of the complete VMs of a pool, by UUID, as this store last wrote them."""
        rows = self._run("SELECT uuid, mark FROM vms WHERE pool = ?", pool)
        marks = {uuid: Mark.from_dict(json.loads(mark)) for uuid, mark in rows}
        return {uuid: mark for uuid, mark in marks.items() if mark.complete}

    def save_intent(self, intent: Intent) -> None:
        """Insert or replace what a VM is meant to be told."""
        self._run(
            "REPLACE INTO vms (uuid, pool, name, layout, carrier, context, mark)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            intent.uuid,
            intent.pool,
            intent.name,
            intent.layout,
            intent.carrier,
            context_to_json(intent.context),
            json.dumps(asdict(intent.mark)),
        )

    def save_mark(self, mark: Mark) -> None:
        """Remember the mark that a VM was given; nothing happens for one this store never knew."""
        self._run("UPDATE vms SET mark = ? WHERE uuid = ?", json.dumps(asdict(mark)), mark.vm)

    def forget(self, uuid: str) -> None:
        """Drop a VM; idempotent."""
        self._run("DELETE FROM vms WHERE uuid = ?", uuid)

    def settings(self, key: str) -> dict[str, Any] | None:
        """Settings that were validated before, by what they were made from."""
        rows = self._run("SELECT value FROM settings WHERE key = ?", key)
        return dict(json.loads(rows[0][0])) if rows else None

    def save_settings(self, key: str, value: Mapping[str, Any]) -> None:
        """Remember validated settings."""
        self._run("REPLACE INTO settings (key, value) VALUES (?, ?)", key, json.dumps(value))

    def _intents(self, condition: str, value: str) -> list[Intent]:
        columns = "uuid, pool, name, layout, carrier, mark, context"
        rows = self._run(f"SELECT {columns} FROM vms WHERE {condition}", value)  # noqa: S608 - ours
        return [
            Intent(
                uuid,
                pool,
                name,
                layout,
                carrier,
                context_from_json(context),
                Mark.from_dict(json.loads(mark)),
            )
            for uuid, pool, name, layout, carrier, mark, context in rows
        ]

    def _run(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        with self._lock, self._errors():
            return self._connection.execute(statement, values).fetchall()

    def _use_wal(self) -> None:
        """Switch to WAL. SQLite's own timeout is not heeded there, so this one is."""
        end = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() >= end:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def _migrate(self) -> None:
        version = self._version()
        if version > SCHEMA:
            raise ConfigError(
                f"{self.path} was written by a newer IMS (schema {version}, known {SCHEMA})",
                code="store-unusable",
                hint="upgrade ims, or set IMS_STATE to another directory",
            )
        if version == 0:
            self._connection.execute("BEGIN IMMEDIATE")
            if self._version() == 0:  # another process may have been quicker
                for statement in _CREATE:
                    self._connection.execute(statement)
                self._connection.execute("INSERT INTO identity VALUES (?)", (str(uuid4()),))
                self._connection.execute(f"PRAGMA user_version = {SCHEMA}")
            self._connection.execute("COMMIT")

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(
                f"the store {self.path} cannot be used: {error}",
                code="store-unusable",
                hint="mend it or move it away; no VM is lost with it",
            ) from error
