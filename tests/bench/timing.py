"""Taking times: one side after the other, again and again, so that noise meets all alike."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Budget", "Row", "rounds"]

_QUARTERS = 4
_NOISY = 0.1
_MILLI = 1000.0


@dataclass(frozen=True, slots=True)
class Budget:
    """What a row must not exceed.

    Attributes:
        limit: A ratio to the peer, or milliseconds where ``absolute``.
        reason: Where the limit comes from, if that is not plain.
    """

    limit: float
    absolute: bool = False
    reason: str = ""

    def __str__(self) -> str:
        """The most there may be, as it stands in a table."""
        return f"{self.limit:.3g}{' ms' if self.absolute else ''}{self.reason}"


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: seconds of ours and of the peer's, pair by pair.

    Attributes:
        what: Our command, and in what circumstances.
        peer: The command it is compared with.
    """

    what: str
    peer: str
    ours: Sequence[float]
    theirs: Sequence[float]
    budget: Budget | None = None

    @property
    def our_median(self) -> float:
        """Milliseconds."""
        return statistics.median(self.ours) * _MILLI

    @property
    def their_median(self) -> float:
        """Milliseconds."""
        return statistics.median(self.theirs) * _MILLI

    @property
    def ratio(self) -> float:
        """The median of the ratios of the pairs, not the ratio of the medians.

        What slowed the machine down for a while slowed both of a pair, and cancels out.
        """
        return statistics.median(self._ratios)

    @property
    def spread(self) -> float:
        """How far the middle half of the ratios is apart, as a part of the ratio."""
        if len(self._ratios) < _QUARTERS:
            return float("nan")
        low, _, high = statistics.quantiles(self._ratios, n=_QUARTERS)
        return (high - low) / self.ratio

    @property
    def noisy(self) -> bool:
        """Whether the spread is such that the ratio deserves little trust."""
        return not self.spread <= _NOISY  # too few pairs to tell are as bad

    @property
    def within(self) -> bool | None:
        """Whether the budget is kept; None when there is none."""
        if self.budget is None:
            return None
        return (self.our_median if self.budget.absolute else self.ratio) <= self.budget.limit

    @property
    def _ratios(self) -> list[float]:
        return [mine / other for mine, other in zip(self.ours, self.theirs, strict=True)]


def rounds(
    sides: Sequence[Callable[[], float]], pairs: int, *, warm_up: bool = True
) -> list[list[float]]:
    """Run every side once in each round, after one round that does not count.

    Args:
        sides: Each does its work and returns the seconds it took.
        pairs: The number of rounds that count.
        warm_up: Whether there is that round; for what takes minutes there is none.

    Returns:
        The seconds of each side, round by round.
    """
    taken: list[list[float]] = [[] for _ in sides]
    for number in range(0 if warm_up else 1, pairs + 1):
        for side, times in zip(sides, taken, strict=True):
            seconds = side()
            if number > 0:
                times.append(seconds)
    return taken
