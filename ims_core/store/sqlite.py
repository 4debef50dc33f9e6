"""The store as one SQLite file.

The file is readable by its owner alone, because contexts hold secrets; WAL and
``synchronous=FULL`` make each commit survive a power loss.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ims_core.codec import context_from_json, context_to_json
from ims_core.errors import ConflictError
from ims_core.models import Mark, Resource
from ims_core.store.database import Database
from ims_core.store.locks import Locks
from ims_core.store.records import Intent, Operation, Outcome, Reservation, Step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from contextlib import AbstractContextManager

    from ims_core.store import Claim

__all__ = ["SqliteStore"]

_OPERATION = "id, kind, pool, subject, vm, request, endpoint, goal, started, ended, outcome, error"
_PRUNE = """DELETE FROM operations WHERE outcome IN ('done', 'failed')
    AND rowid <= (SELECT max(rowid) FROM operations) - 10000"""
_INTENT = "uuid, pool, name, layout, carrier, mark, context"


class SqliteStore:
    """The store of one state directory; see :class:`ims_core.store.Store`."""

    def __init__(self, directory: Path) -> None:
        """Open it, making the directory (0700) and the file (0600) if they are not there."""
        self._use(Database(directory / "ims.sqlite"), directory / "locks")

    def _use(self, database: Database, locks: Path) -> None:
        self._db = database
        self._locks = Locks(locks)
        with database.errors():
            self.id: str = database.run("SELECT store FROM identity")[0][0]

    @classmethod
    def passing(cls, directory: Path) -> Self:
        """A store that is empty and lasts as long as the process, in place of an unusable one.

        Its locks are those of the directory, so that others are still waited for, if there can be
        any in it.
        """
        from tempfile import mkdtemp  # noqa: PLC0415 - seldom needed

        store, locks = cls.__new__(cls), directory / "locks"
        usable = os.access(locks, os.W_OK)
        store._use(Database(None), locks if usable else Path(mkdtemp(prefix="ims-")))  # noqa: SLF001
        return store

    def close(self) -> None:
        """Close the file."""
        self._db.close()

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
        rows = self._db.run("SELECT uuid, mark FROM vms WHERE pool = ?", pool)
        with self._db.errors():
            marks = {uuid: _mark(mark) for uuid, mark in rows}
        return {uuid: mark for uuid, mark in marks.items() if mark.complete}

    def save_intent(self, intent: Intent) -> None:
        """Insert or replace what a VM is meant to be told."""
        self._db.run(
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
        self._db.run("UPDATE vms SET mark = ? WHERE uuid = ?", json.dumps(asdict(mark)), mark.vm)

    def forget(self, uuid: str) -> None:
        """Drop a VM, with its addresses; idempotent."""
        with self._db.transaction():
            self._db.run("DELETE FROM vms WHERE uuid = ?", uuid)
            self._db.run("DELETE FROM addresses WHERE vm = ?", uuid)

    # --- operations ---

    def begin(self, operation: Operation, claim: Claim | None = None) -> None:
        """Record an operation, and with it the addresses it claims for its VM; or neither."""
        with self._db.transaction():
            self._refuse_rivals(operation)
            self._db.run(
                f"INSERT INTO operations ({_OPERATION})"  # noqa: S608 - ours
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                operation.id,
                operation.kind,
                operation.pool,
                operation.subject,
                operation.vm,
                operation.request,
                operation.endpoint,
                operation.goal,
                operation.started,
                operation.ended,
                operation.outcome,
                json.dumps(dict(operation.error)),
            )
            self._db.run(_PRUNE)
            if claim is not None:
                self._claim(operation.vm, claim)

    def aim(self, operation: str, goal: str) -> None:
        """Record what an operation is to reach."""
        self._db.run("UPDATE operations SET goal = ? WHERE id = ?", goal, operation)

    def announce(self, resource: Resource) -> None:
        """Record what is about to be made."""
        self._db.run(
            "INSERT INTO resources (operation, kind, name) VALUES (?, ?, ?)",
            resource.operation,
            resource.kind,
            resource.name,
        )

    def retract(self, resource: Resource) -> None:
        """Take that back."""
        self._db.run(
            "DELETE FROM resources WHERE operation = ? AND kind = ? AND name = ?",
            resource.operation,
            resource.kind,
            resource.name,
        )

    def enter(self, operation: str, step: Step) -> None:
        """Record a phase, without waiting for the disk: it is for people to read."""
        with self._db.guard:
            self._db.run("PRAGMA synchronous = NORMAL")
            try:
                self._db.run(
                    "INSERT INTO steps (operation, at, phase, message) VALUES (?, ?, ?, ?)",
                    operation,
                    step.at,
                    step.phase,
                    step.message,
                )
            finally:
                self._db.run("PRAGMA synchronous = FULL")

    def finish(self, operation: str, outcome: Outcome, error: Mapping[str, Any]) -> None:
        """Record how it ended."""
        self._db.run(
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
        steps = self._db.run(
            "SELECT phase, message, at FROM steps WHERE operation = ? ORDER BY rowid", one.id
        )
        resources = self._db.run(
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
        rows = self._db.run("SELECT pool, network, address, vm FROM addresses")
        return [Reservation(*each) for each in rows]

    def reserve(self, vm: str, claim: Claim) -> None:
        """Replace the addresses of a VM by those it claims; others see both or neither."""
        with self._db.transaction():
            self._claim(vm, claim)

    def release(self, vms: Collection[str]) -> None:
        """Give back the addresses of these VMs."""
        with self._db.transaction():
            for vm in vms:
                self._db.run("DELETE FROM addresses WHERE vm = ?", vm)

    # --- the rest ---

    def settings(self, key: str) -> dict[str, Any] | None:
        """Settings that were validated before, by what they were made from."""
        rows = self._db.run("SELECT value FROM settings WHERE key = ?", key)
        with self._db.errors():
            return dict(json.loads(rows[0][0])) if rows else None

    def save_settings(self, key: str, value: Mapping[str, Any]) -> None:
        """Remember validated settings."""
        self._db.run("REPLACE INTO settings (key, value) VALUES (?, ?)", key, json.dumps(value))

    # --- parts ---

    @contextmanager
    def _held(self, name: str, seconds: float) -> Iterator[None]:
        with ExitStack() as held:
            with self._db.errors():
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
        self._db.run("DELETE FROM addresses WHERE vm = ?", vm)
        for each in wanted:
            self._db.run(
                "INSERT INTO addresses (pool, network, address, vm) VALUES (?, ?, ?, ?)",
                each.pool,
                each.network,
                each.address,
                each.vm,
            )

    def _intents(self, condition: str, value: str) -> list[Intent]:
        rows = self._db.run(f"SELECT {_INTENT} FROM vms WHERE {condition}", value)  # noqa: S608 - ours
        with self._db.errors():
            return [
                Intent(uuid, pool, name, layout, carrier, context_from_json(context), _mark(mark))
                for uuid, pool, name, layout, carrier, mark, context in rows
            ]

    def _operations(self, condition: str, *values: str) -> list[Operation]:
        rows = self._db.run(f"SELECT {_OPERATION} FROM operations WHERE {condition}", *values)  # noqa: S608 - ours
        with self._db.errors():
            return [
                replace(Operation(*row[:10]), outcome=Outcome(row[10]), error=json.loads(row[11]))
                for row in rows
            ]


def _mark(text: str) -> Mark:
    return Mark.from_dict(json.loads(text))
