"""Undo in the order opposite to the making.

A provider announces each thing before it makes it (``spi`` sentence 6). When the operation fails,
everything announced is discarded, newest first. What could not be discarded is named to the
caller, never forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ims_core.models import Resource
from ims_core.spi import Discarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_core.spi import Provider

__all__ = ["Left", "Undo"]


@dataclass(frozen=True, slots=True)
class Left:
    """What a rollback left, as sentences.

    Attributes:
        ours: What could not be discarded, and must be tried again.
        foreign: Namesakes that somebody else made; they stay.
    """

    ours: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Both."""
        return self.ours + self.foreign


@dataclass
class Undo:
    """The undo log of one operation, kept in memory."""

    operation: str
    announced: list[Resource] = field(default_factory=list)

    def announce(self, kind: str, name: str) -> None:
        """Record a resource before it is made."""
        self.announced.append(Resource(kind, name, self.operation))

    def retract(self, kind: str, name: str) -> None:
        """Take an announcement back."""
        self.announced.remove(Resource(kind, name, self.operation))

    def roll_back(self, provider: Provider, *, expired: Callable[[], bool]) -> Left:
        """Discard everything announced, newest first.

        Args:
            provider: Who made it.
            expired: Asked before each step; once true, the rest is left and reported.
        """
        ours, foreign = [], []
        while self.announced:
            resource = self.announced[-1]
            if expired():
                ours += [f"{each.kind} {each.name}: no time left" for each in self.announced[::-1]]
                break
            self.announced.pop()
            try:
                found = provider.discard(resource)
            except Exception as error:  # noqa: BLE001 - whatever it is, the rest must still go
                ours.append(f"{resource.kind} {resource.name}: {error}")
            else:
                if found is Discarded.NOT_OURS:
                    foreign.append(
                        f"{resource.kind} {resource.name}: somebody else's, left as it is"
                    )
        return Left(tuple(ours), tuple(foreign))
