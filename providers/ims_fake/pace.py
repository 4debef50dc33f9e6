"""Slowness and failures, as the pool's settings ask for them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ims_core.errors import HypervisorError

__all__ = ["Pace"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How long each changing step takes, and which steps fail."""

    delay: float = 0.0
    fail: frozenset[str] = frozenset()

    def step(self, name: str) -> None:
        """Take the time of one changing step.

        Raises:
            HypervisorError: ``fault-injected``.
        """
        if self.delay:
            time.sleep(self.delay)
        self.look(name)

    def look(self, name: str) -> None:
        """The same for a step that changes nothing, and so takes no time."""
        if name in self.fail:
            raise HypervisorError(
                f"step {name} fails",
                code="fault-injected",
                hint="the pool's setting `fail` asks for it",
            )
