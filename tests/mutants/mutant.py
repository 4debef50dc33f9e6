"""What a mutant is: a provider with one mistake, and the sentence of the contract it breaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_fake import FakeProvider

    P = TypeVar("P", bound=type[FakeProvider])

__all__ = ["Group", "Mutant"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A provider that is healthy but for one mistake.

    Attributes:
        name: Says the mistake.
        sentence: Number of the contract's sentence that it breaks.
        mistake: The same for people.
        provider: The class.
    """

    name: str
    sentence: int
    mistake: str
    provider: type[FakeProvider]


@dataclass(frozen=True, slots=True)
class Group:
    """The mutants of one module."""

    found: list[Mutant] = field(default_factory=list)

    def add(self, name: str, sentence: int, mistake: str) -> Callable[[P], P]:
        """Take a class in."""

        def taken(provider: P) -> P:
            self.found.append(Mutant(name, sentence, mistake, provider))
            return provider

        return taken
