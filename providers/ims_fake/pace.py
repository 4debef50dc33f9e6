"""Slowness and failures, as the pool's settings ask for them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ims_core.errors import BusyError, HypervisorError

__all__ = ["Pace"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How long each changing step takes, and which steps fail, or are busy once.

    Attributes:
        busy: What is busy the first time it is tried, and taken out then.
    """

    delay: float = 0.0
    fail: frozenset[str] = frozenset()
    busy: set[str] = field(default_factory=set)

    def step(self, name: str) -> None:
        """Take the time of one changing step.

        Raises:
            HypervisorError: ``fault-injected``.
            BusyError: ``hypervisor-busy``.
        """
        if self.delay:
            time.sleep(self.delay)
        if name in self.busy:
            self.busy.discard(name)
            raise BusyError(f"step {name} is busy", hint="the pool's setting `busy` asks for it")
        self.look(name)

    def look(self, name: str) -> None:
        """The same for a step that changes nothing, and so takes no time."""
        if name in self.fail:
            raise HypervisorError(
                f"step {name} fails",
                code="fault-injected",
                hint="the pool's setting `fail` asks for it",
            )
