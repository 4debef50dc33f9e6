"""Announcing what is about to be made."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_core.spi import UndoLog

__all__ = ["announced"]


@contextmanager
def announced(undo: UndoLog, kind: str, name: str) -> Iterator[None]:
    """Announce a resource, and take that back if somebody else's turned out to be there."""
    undo.announce(kind, name)
    try:
        yield
    except ConflictError:
        undo.retract(kind, name)
        raise
