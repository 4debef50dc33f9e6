"""One SQLite file: opened, migrated, and shared by threads and processes."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ims_core.errors import ConfigError
from ims_core.store.schema import MIGRATIONS, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Database"]

_LOCK_SECONDS = 10.0
_PAUSE = 0.01


class Database:
    """A connection, in autocommit mode but for its transactions.

    Attributes:
        guard: Held by the thread that is at it; re-entrant.
    """

    def __init__(self, path: Path | None) -> None:
        """Open and migrate it, making the directory (0700) and the file (0600) if need be.

        Args:
            path: None for one in memory.
        """
        self.guard = threading.RLock()
        self._path = path
        with self.errors():
            if path is not None:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _make_private(path)
            self._connection = sqlite3.connect(
                path or ":memory:",
                timeout=_LOCK_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            self._use_wal()
            self._connection.execute("PRAGMA synchronous = FULL")
            self._migrate()

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement; returns its rows."""
        with self.guard, self.errors():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing, and nobody else writes meanwhile."""
        with self.guard:
            try:
                self.run("BEGIN IMMEDIATE")
                yield
                self.run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self.run("ROLLBACK")
                raise

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Tell what the block raises as ``store-unusable``; a lock's ``TimeoutError`` passes."""
        try:
            yield
        except TimeoutError:
            raise
        except (sqlite3.Error, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"the store {self._path} cannot be used: {error}",
                code="store-unusable",
                hint="mend it or move it away; no VM is lost with it",
            ) from error

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
        with self.transaction():
            version = self._version()  # another process may have been quicker
            if version > VERSION:
                raise ConfigError(
                    f"{self._path} was written by a newer IMS (schema {version}, known {VERSION})",
                    code="store-unusable",
                    hint="upgrade ims, or set IMS_STATE to another directory",
                )
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    self.run(statement)
            if version == 0:
                self.run("INSERT INTO identity VALUES (?)", str(uuid4()))
            self.run(f"PRAGMA user_version = {VERSION}")

    def _version(self) -> int:
        return int(self.run("PRAGMA user_version")[0][0])


def _make_private(path: Path) -> None:
    """Make an empty file that only its owner may read, if there is none.

    A file that SQLite has open must never be opened and closed besides: closing any descriptor of
    it gives up every lock that this process has on it (POSIX, fcntl), and the next process to end
    would take the journal away. So it is made under another name.
    """
    if path.exists():
        return
    from tempfile import mkstemp  # noqa: PLC0415 - once in a store's life

    descriptor, name = mkstemp(prefix=".ims-", dir=path.parent)
    os.close(descriptor)
    try:
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
