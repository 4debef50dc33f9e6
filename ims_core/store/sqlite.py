"""The store as one SQLite file.

The file is readable by its owner alone, because contexts hold secrets; WAL and
``synchronous=FULL`` make each commit survive a power loss.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from ims_core.codec import context_from_json, context_to_json
from ims_core.errors import ConfigError, ConflictError
from ims_core.models import Mark, Resource
from ims_core.store.locks import Locks
from ims_core.store.records import Intent, Operation, Outcome, Reservation, Step
from ims_core.store.schema import MIGRATIONS, VERSION

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ims_core.store import Claim

__all__ = ["SqliteStore"]

_LOCK_SECONDS = 10.0
_PAUSE = 0.01
_OPERATION = "id, kind, pool, subject, vm, request, digest, started, ended, outcome, error"
_INTENT = "uuid, pool, name, layout, carrier, mark, context"


class SqliteStore:
    """The store of one state directory; see :class:`ims_core.store.Store`."""

    def __init__(self, directory: Path, *, file: str = "ims.sqlite") -> None:
        """Open it, making the directory (0700) and the file (0600) if they are not there."""
        self.path = directory / file
        self._locks = Locks(directory / "locks")
        self._guard = threading.RLock()
        with self._errors():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if file:
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(
                self.path if file else ":memory:",
                timeout=_LOCK_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            self._use_wal()
            self._connection.execute("PRAGMA synchronous = FULL")
            self._migrate()
            self.id: str = self._connection.execute("SELECT store FROM identity").fetchone()[0]

    @classmethod
    def passing(cls, directory: Path) -> Self:
        """A store that is empty and lasts as long as the process, in place of an unusable one."""
        return cls(directory, file="")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def lock(self, name: str, *, seconds: float) -> AbstractContextManager[None]:
        """Hold a lock; see :mod:`ims_core.store.locks`."""
        return self._held(name, seconds)

    # --- what VMs are meant to be told ---

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
        with self._errors():
            marks = {uuid: _mark(mark) for uuid, mark in rows}
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
        """Drop a VM, with its addresses; idempotent."""
        with self._transaction():
            self._run("DELETE FROM vms WHERE uuid = ?", uuid)
            self._run("DELETE FROM addresses WHERE vm = ?", uuid)

    # --- operations ---

    def begin(self, operation: Operation, claim: Claim | None = None) -> None:
        """Record an operation, and with it the addresses it claims for its VM; or neither."""
        with self._transaction():
            self._refuse_rivals(operation)
            self._run(
                f"INSERT INTO operations ({_OPERATION})"  # noqa: S608 - ours
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                operation.id,
                operation.kind,
                operation.pool,
                operation.subject,
                operation.vm,
                operation.request,
                operation.order,
                operation.started,
                operation.ended,
                operation.outcome,
                json.dumps(dict(operation.error)),
            )
            if claim is not None:
                self._claim(operation.vm, claim)

    def announce(self, resource: Resource) -> None:
        """Record what is about to be made."""
        self._run(
            "INSERT INTO resources (operation, kind, name) VALUES (?, ?, ?)",
            resource.operation,
            resource.kind,
            resource.name,
        )

    def retract(self, resource: Resource) -> None:
        """Take that back."""
        self._run(
            "DELETE FROM resources WHERE operation = ? AND kind = ? AND name = ?",
            resource.operation,
            resource.kind,
            resource.name,
        )

    def enter(self, operation: str, step: Step) -> None:
        """Record a phase, without waiting for the disk: it is for people to read."""
        with self._guard:
            self._run("PRAGMA synchronous = NORMAL")
            try:
                self._run(
                    "INSERT INTO steps (operation, at, phase, message) VALUES (?, ?, ?, ?)",
                    operation,
                    step.at,
                    step.phase,
                    step.message,
                )
            finally:
                self._run("PRAGMA synchronous = FULL")

    def finish(self, operation: str, outcome: Outcome, error: Mapping[str, Any]) -> None:
        """Record how it ended."""
        self._run(
            "UPDATE operations SET outcome = ?, ended = ?, error = ? WHERE id = ?",
            outcome,
            time.time(),
            json.dumps(dict(error)),
            operation,
        )

    def operation(self, known_by: str) -> Operation | None:
        """One operation, by its id or the id of its request, with its steps and resources."""
        # A request's failed attempts come before the one that did not fail.
        found = self._operations(
            "id = ? OR request = ? ORDER BY outcome = 'failed', started DESC LIMIT 1",
            known_by,
            known_by,
        )
        if not found or not known_by:
            return None
        one = found[0]
        steps = self._run(
            "SELECT phase, message, at FROM steps WHERE operation = ? ORDER BY rowid", one.id
        )
        resources = self._run(
            "SELECT kind, name, operation FROM resources WHERE operation = ? ORDER BY number",
            one.id,
        )
        return replace(
            one,
            steps=tuple(Step(*each) for each in steps),
            resources=tuple(Resource(*each) for each in resources),
        )

    def operations(self, pool: str = "", *, unfinished: bool = False) -> list[Operation]:
        """Operations, oldest first, without steps and resources."""
        which = "outcome IN ('running', 'unfinished')" if unfinished else "1"
        order = "ORDER BY started, rowid"
        if pool:
            return self._operations(f"{which} AND pool = ? {order}", pool)
        return self._operations(f"{which} {order}")

    # --- addresses ---

    def reservations(self) -> list[Reservation]:
        """Every address that was promised."""
        rows = self._run("SELECT pool, network, address, vm FROM addresses")
        return [Reservation(*each) for each in rows]

    def reserve(self, vm: str, claim: Claim) -> None:
        """Replace the addresses of a VM by those it claims; others see both or neither."""
        with self._transaction():
            self._claim(vm, claim)

    def release(self, vms: Collection[str]) -> None:
        """Give back the addresses of these VMs."""
        with self._transaction():
            for vm in vms:
                self._run("DELETE FROM addresses WHERE vm = ?", vm)

    # --- the rest ---

    def settings(self, key: str) -> dict[str, Any] | None:
        """Settings that were validated before, by what they were made from."""
        rows = self._run("SELECT value FROM settings WHERE key = ?", key)
        with self._errors():
            return dict(json.loads(rows[0][0])) if rows else None

    def save_settings(self, key: str, value: Mapping[str, Any]) -> None:
        """Remember validated settings."""
        self._run("REPLACE INTO settings (key, value) VALUES (?, ?)", key, json.dumps(value))

    # --- parts ---

    @contextmanager
    def _held(self, name: str, seconds: float) -> Iterator[None]:
        with ExitStack() as held:
            with self._errors():
                held.enter_context(self._locks.hold(name, seconds=seconds))
            yield

    def _refuse_rivals(self, operation: Operation) -> None:
        """Refuse what the indexes of the schema would, in words."""
        rivals = self._operations(
            "pool = ? AND kind = ? AND subject = ? AND outcome IN ('running', 'unfinished')"
            " AND kind IN ('create-vm', 'import-template')",
            operation.pool,
            operation.kind,
            operation.subject,
        )
        if operation.request:
            same = self._operations("request = ? AND outcome <> 'failed'", operation.request)
            if same:
                raise ConflictError(
                    f"request {operation.request!r} is that of operation {same[0].id}",
                    code="request-known",
                    operation=same[0].id,
                )
        if rivals:
            running = rivals[0].outcome is Outcome.RUNNING
            state = "is being made" if running else "was left unfinished"
            raise ConflictError(
                f"{operation.subject!r} {state} by operation {rivals[0].id}",
                code="being-made",
                pool=operation.pool,
                operation=rivals[0].id,
                hint="choose another name, or wait; `ims recover` undoes what was cut short",
            )

    def _claim(self, vm: str, claim: Claim) -> None:
        taken = [each for each in self.reservations() if each.vm != vm]
        wanted = claim(taken)
        self._run("DELETE FROM addresses WHERE vm = ?", vm)
        for each in wanted:
            self._run(
                "INSERT INTO addresses (pool, network, address, vm) VALUES (?, ?, ?, ?)",
                each.pool,
                each.network,
                each.address,
                each.vm,
            )

    def _intents(self, condition: str, value: str) -> list[Intent]:
        rows = self._run(f"SELECT {_INTENT} FROM vms WHERE {condition}", value)  # noqa: S608 - ours
        with self._errors():
            return [
                Intent(uuid, pool, name, layout, carrier, context_from_json(context), _mark(mark))
                for uuid, pool, name, layout, carrier, mark, context in rows
            ]

    def _operations(self, condition: str, *values: str) -> list[Operation]:
        rows = self._run(f"SELECT {_OPERATION} FROM operations WHERE {condition}", *values)  # noqa: S608 - ours
        with self._errors():
            return [
                replace(Operation(*row[:9]), outcome=Outcome(row[9]), error=json.loads(row[10]))
                for row in rows
            ]

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._guard, self._errors():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guard:
            self._run("BEGIN IMMEDIATE")
            try:
                yield
                self._run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._run("ROLLBACK")
                raise

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
        if self._version() == VERSION:
            return
        with self._transaction():
            version = self._version()  # another process may have been quicker
            if version > VERSION:
                raise ConfigError(
                    f"{self.path} was written by a newer IMS (schema {version}, known {VERSION})",
                    code="store-unusable",
                    hint="upgrade ims, or set IMS_STATE to another directory",
                )
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    self._run(statement)
            if version == 0:
                self._run("INSERT INTO identity VALUES (?)", str(uuid4()))
            self._run(f"PRAGMA user_version = {VERSION}")

    def _version(self) -> int:
        return int(self._run("PRAGMA user_version")[0][0])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise  # of a lock: the caller knows what is locked
        except (sqlite3.Error, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"the store {self.path} cannot be used: {error}",
                code="store-unusable",
                hint="mend it or move it away; no VM is lost with it",
            ) from error


def _mark(text: str) -> Mark:
    return Mark.from_dict(json.loads(text))
