"""Our strategies. Each ends its comparisons with the names, so that no two hosts are alike."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ims_core.placement.model import Candidate, Demand

__all__ = ["FREE_MEMORY", "PACK", "ROUND_ROBIN", "SPREAD"]


@dataclass(frozen=True, slots=True)
class Ordered:
    """Candidates by a key, the smallest first."""

    key: Callable[[Candidate], tuple[float, ...]]

    def rank(self, candidates: Sequence[Candidate], demand: Demand) -> Sequence[Candidate]:
        """See :class:`~ims_core.placement.Strategy`."""
        return sorted(
            candidates,
            key=lambda each: (each.lacks_memory(demand), *self.key(each), each.pool, each.host),
        )


@dataclass(frozen=True, slots=True)
class TakingTurns:
    """Candidates by name, beginning with another one at each turn."""

    def rank(self, candidates: Sequence[Candidate], demand: Demand) -> Sequence[Candidate]:
        """See :class:`~ims_core.placement.Strategy`."""
        by_name = Ordered(lambda _: ()).rank(candidates, demand)
        fitting = [each for each in by_name if not each.lacks_memory(demand)]
        start = demand.turn % len(fitting) if fitting else 0
        return [*fitting[start:], *fitting[:start], *by_name[len(fitting) :]]


def _most_memory_first(candidate: Candidate) -> float:
    return inf if candidate.memory_free is None else -candidate.memory_free


SPREAD = Ordered(lambda each: (each.vms, _most_memory_first(each)))
"""``spread``: the fewest VMs first; of those, the most free memory."""

PACK = Ordered(lambda each: (-each.vms,))
"""``pack``: the most VMs first, to keep other hosts empty."""

ROUND_ROBIN = TakingTurns()
"""``round-robin``: one after the other, by name."""

FREE_MEMORY = Ordered(lambda each: (_most_memory_first(each),))
"""``free-memory``: the most free memory first; where it is not known, last."""
