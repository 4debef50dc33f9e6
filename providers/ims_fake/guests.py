"""What the provider asks of its guests, whichever kind they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ims_core.models import Receipt
    from ims_fake.domain import Domain

__all__ = ["Answer", "Guests"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a guest did at once: its receipt, if it sent one already, and what it printed."""

    receipt: Receipt | None = None
    console: tuple[str, ...] = ()


class Guests(ABC):
    """The guests of one pool. What has no method body here needs none where nothing really runs."""

    @abstractmethod
    def boot(self, domain: Domain, seed: bytes) -> Answer:
        """Start a guest with this delivery; it runs when this returns.

        Raises:
            ConflictError: ``vm-running``: somebody else started it meanwhile.
        """

    @abstractmethod
    def tell(self, domain: Domain, seed: bytes) -> Answer:
        """Put another delivery before a running guest."""

    @abstractmethod
    def ask(self, domain: Domain, timeout: float) -> bool:
        """Ask a guest to stop, and wait; whether it did."""

    def state(self, domain: Domain) -> str:
        """What it is in truth, as a word of a description."""
        return domain.state

    def receipt(self, domain: Domain) -> Receipt | None:
        """What it answered last."""
        return domain.receipt

    def console(self, domain: Domain) -> tuple[str, ...]:
        """What it printed since its last start."""
        return domain.console

    def end(self, domain: Domain, state: str) -> None:  # noqa: B027 - optional, as all that follow
        """Take its power away, if it has any; ``state`` is what it is then."""

    def hold(self, domain: Domain) -> None:  # noqa: B027
        """Hold a running guest."""

    def go_on(self, domain: Domain, seed: bytes) -> None:  # noqa: B027
        """Let one go on that was held or put aside, with this delivery."""

    def forget(self, uuid: str) -> None:  # noqa: B027
        """End it, and remove all that it has."""

    def copy(self, source: str, target: str) -> None:  # noqa: B027
        """Give a VM that is being made what another one's disk holds."""

    def pack(self, domain: Domain) -> bytes:  # noqa: ARG002
        """What its disk holds now; empty where that is nothing."""
        return b""

    def unpack(self, domain: Domain, content: bytes) -> None:  # noqa: B027
        """Put that back in place of what its disk holds. It does not run."""
