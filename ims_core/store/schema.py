"""The store's tables, as the steps that lead from each version to the next.

A step is never changed once it was released: a new version is a new step.
"""

from __future__ import annotations

__all__ = ["MIGRATIONS", "VERSION"]

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE identity (store TEXT NOT NULL)",
        """CREATE TABLE vms (
            uuid TEXT PRIMARY KEY, pool TEXT NOT NULL, name TEXT NOT NULL,
            layout TEXT NOT NULL, carrier TEXT NOT NULL, context TEXT NOT NULL, mark TEXT NOT NULL
        )""",
        "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    ),
    (
        """CREATE TABLE operations (
            id TEXT PRIMARY KEY, kind TEXT NOT NULL, pool TEXT NOT NULL, subject TEXT NOT NULL,
            vm TEXT NOT NULL, request TEXT NOT NULL, endpoint TEXT NOT NULL, goal TEXT NOT NULL,
            started REAL NOT NULL, ended REAL, outcome TEXT NOT NULL, error TEXT NOT NULL
        )""",
        "CREATE INDEX unfinished ON operations (pool) WHERE outcome IN ('running', 'unfinished')",
        # Of several that would make a thing of one name at once, one wins.
        """CREATE UNIQUE INDEX makers ON operations (pool, kind, subject)
            WHERE outcome IN ('running', 'unfinished') AND kind IN ('create-vm', 'import-template')
        """,
        """CREATE UNIQUE INDEX requests ON operations (request)
            WHERE request <> '' AND outcome <> 'failed'""",
        """CREATE TABLE resources (
            number INTEGER PRIMARY KEY, operation TEXT NOT NULL, kind TEXT NOT NULL,
            name TEXT NOT NULL
        )""",
        "CREATE INDEX resources_of ON resources (operation)",
        """CREATE TABLE steps (
            operation TEXT NOT NULL, at REAL NOT NULL, phase TEXT NOT NULL, message TEXT NOT NULL
        )""",
        "CREATE INDEX steps_of ON steps (operation)",
        """CREATE TRIGGER operation_pruned AFTER DELETE ON operations BEGIN
            DELETE FROM steps WHERE operation = old.id;
            DELETE FROM resources WHERE operation = old.id;
        END""",
        """CREATE TABLE addresses (
            pool TEXT NOT NULL, network TEXT NOT NULL, address TEXT NOT NULL, vm TEXT NOT NULL,
            PRIMARY KEY (pool, network, address)
        ) WITHOUT ROWID""",
        "CREATE INDEX addresses_of ON addresses (vm)",
        # What the VMs of before are meant to be told is theirs.
        """INSERT OR IGNORE INTO addresses
            SELECT vms.pool, json_extract(card.value, '$.network'),
                substr(address.value, 1, instr(address.value || '/', '/') - 1), vms.uuid
            FROM vms,
                json_each(iif(json_valid(vms.context), vms.context, '{}'), '$.interfaces') AS card,
                json_each(card.value, '$.addresses') AS address""",
    ),
)
"""Statements by version: the first make version 1 out of an empty file."""

VERSION = len(MIGRATIONS)
