"""SQLite's connections, wrapped so that each commit is a point."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Any, ClassVar, cast

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.crash.points import Points

__all__ = ["watch_store"]

_CHANGING = ("INSERT", "REPLACE", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER")
_ENDING = ("COMMIT", "END", "RELEASE")
_STATEMENT = re.compile(
    r"\s*(\w+)\s+(?:OR\s+\w+\s+)?(?:INTO|FROM|TABLE|UNIQUE INDEX|INDEX)?\s*"
    r"(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(\w*)",
    re.IGNORECASE,
)
_VERSION = re.compile(r"\s*PRAGMA\s+user_version\s*=", re.IGNORECASE)


class WatchedConnection(sqlite3.Connection):
    """Knows what the transaction that is open has changed."""

    points: ClassVar[Points]

    def __init__(self, *arguments: Any, **words: Any) -> None:
        super().__init__(*arguments, **words)
        self._changed: list[str] = []

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or WatchedCursor)

    # The shortcuts of a connection make their cursors in C, past cursor().

    def execute(self, *arguments: Any) -> Any:
        return self.cursor().execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        return self.cursor().executemany(*arguments)

    def executescript(self, *arguments: Any) -> Any:
        return self.cursor().executescript(*arguments)

    def commit(self) -> None:
        with self.point("COMMIT"):
            super().commit()

    def __exit__(self, *error: object) -> Any:
        with self.point("COMMIT" if error[0] is None else "ROLLBACK"):
            return super().__exit__(*cast("Any", error))

    def point(self, statement: str) -> AbstractContextManager[None]:
        """The point of a statement, if it commits anything."""
        name = self._committed(statement)
        return self.points.reached("store", name, self.full) if name else self.points.passing()

    def full(self) -> Exception:
        """What SQLite says without space; it rolls back then."""
        if self.in_transaction:
            sqlite3.Connection.rollback(self)
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        return error

    def _committed(self, statement: str) -> str:
        """What a statement commits; empty when it is nothing, or not yet."""
        found = _STATEMENT.match(statement)
        word, about = (found[1].upper(), found[2]) if found else ("", "")
        if word in _ENDING and self.in_transaction:
            name = f"COMMIT ({', '.join(self._changed)})"
            self._changed.clear()
            return name
        if word == "ROLLBACK":
            self._changed.clear()
        if word in _CHANGING or _VERSION.match(statement):
            if self.isolation_level is None and not self.in_transaction:
                return f"{word} {about}"
            self._changed.append(f"{word} {about}")
        return ""


class WatchedCursor(sqlite3.Cursor):
    """Tells its connection what it executes."""

    connection: WatchedConnection

    def execute(self, sql: str, *rest: Any) -> Any:
        with self.connection.point(sql):
            return super().execute(sql, *rest)

    def executemany(self, sql: str, *rest: Any) -> Any:
        with self.connection.point(sql):
            return super().executemany(sql, *rest)

    def executescript(self, sql: str, /) -> Any:
        with self.connection.points.reached("store", "script", self.connection.full):
            return super().executescript(sql)


def watch_store(points: Points) -> None:
    """Wrap what SQLite commits."""
    connect = sqlite3.connect
    WatchedConnection.points = points

    def watched(*arguments: Any, **words: Any) -> Any:
        return connect(*arguments, **{"factory": WatchedConnection, **words})

    sqlite3.connect = cast("Any", watched)
