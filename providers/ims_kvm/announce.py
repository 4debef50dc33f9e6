"""Announcing what is about to be made."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ims_core.errors import CancelledError, ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_core.spi import UndoLog

__all__ = ["Guarded", "announced"]


class Guarded:
    """An undo log that can be closed: whoever is still making something then cannot go on.

    Everything that is made is announced first, so a call that was given up, and comes back to life
    after the rollback, ends at its next announcement.
    """

    def __init__(self, undo: UndoLog) -> None:
        """Pass everything on to ``undo``."""
        self._undo = undo
        self._lock = threading.Lock()
        self._closed = False

    @property
    def operation(self) -> str:
        """The operation's id."""
        return self._undo.operation

    def announce(self, kind: str, name: str) -> None:
        """Announce, or raise ``CancelledError`` when it was closed."""
        with self._lock:
            if self._closed:
                raise CancelledError(f"given up before {kind} {name} was made")
            self._undo.announce(kind, name)

    def retract(self, kind: str, name: str) -> None:
        """Take an announcement back."""
        with self._lock:
            if not self._closed:
                self._undo.retract(kind, name)

    def close(self) -> None:
        """From now on nothing more is announced."""
        with self._lock:
            self._closed = True


@contextmanager
def announced(undo: UndoLog, kind: str, name: str) -> Iterator[None]:
    """Announce a resource, and take that back if somebody else's turned out to be there."""
    undo.announce(kind, name)
    try:
        yield
    except ConflictError:
        undo.retract(kind, name)
        raise
