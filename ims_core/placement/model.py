"""What a placement strategy is given, and what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Candidate", "Demand", "Strategy"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host that a VM may be placed on.

    Attributes:
        pool: Name of its pool.
        host: Its name; empty where the pool hides its hosts, and then the candidate is the pool.
        vms: How many VMs it has, whoever made them.
        memory: Bytes it has; None when nobody knows.
        memory_free: Bytes that no VM uses; None when nobody knows.
        cpus: Logical processors it has; None when nobody knows.
    """

    pool: str
    host: str
    vms: int
    memory: int | None = None
    memory_free: int | None = None
    cpus: int | None = None

    def lacks_memory(self, demand: Demand) -> bool:
        """Whether it is known that the VM does not fit in; what is not known is not held so."""
        most = self.memory if self.memory_free is None else self.memory_free
        return most is not None and most < demand.memory


@dataclass(frozen=True, slots=True)
class Demand:
    """What a VM needs.

    Attributes:
        memory: Bytes.
        vcpus: Virtual processors.
        turn: How many VMs were placed before this one, counted by the service, so that a strategy
            that takes turns need not remember any.
    """

    memory: int
    vcpus: int
    turn: int = 0


@runtime_checkable
class Strategy(Protocol):
    """An order of preference among hosts."""

    def rank(self, candidates: Sequence[Candidate], demand: Demand) -> Sequence[Candidate]:
        """All the candidates, the best first.

        Pure: the same candidates, in whatever order, and the same demand give the same ranking.
        None is dropped, because the service goes on to the next when one turns out to be full;
        those known to lack the memory come last.
        """
        ...
