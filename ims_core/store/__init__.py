"""What IMS intends, where every process of one user sees it: the store.

The hypervisor is the truth about what exists and runs. A store keeps the context of each VM, the
operations with what they announced, and the addresses that were promised. All but the contexts
can be had again from the marks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ims_core.store.records import Intent, Operation, Outcome, Reservation, Step

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractContextManager

    from ims_core.models import Mark, Resource

__all__ = ["Claim", "Intent", "Operation", "Outcome", "Reservation", "Step", "Store"]

Claim = Callable[[Sequence[Reservation]], Sequence[Reservation]]
"""From the addresses that others have to those that are wanted; what it raises undoes all."""


class Store(Protocol):
    """One store; safe to use from several threads and processes.

    Of the operations that ended, the last ten thousand are kept.

    Every change is durable when its method returns, ``enter`` excepted.

    Raises:
        ConfigError: ``store-unusable``, from any method: the store is damaged, locked for too
            long, or was written by a newer IMS.
    """

    id: str
    """In every mark of this store."""

    def close(self) -> None:
        """Give it back."""

    # --- what VMs are meant to be told ---

    def intent(self, uuid: str) -> Intent | None:
        """What a VM is meant to be told, if this store knows it."""

    def intents(self, pool: str) -> list[Intent]:
        """What every VM of a pool is meant to be told."""

    def marks(self, pool: str) -> dict[str, Mark]:
        """The marks of the complete VMs of a pool, by UUID, as this store last wrote them."""

    def save_intent(self, intent: Intent) -> None:
        """Insert or replace what a VM is meant to be told."""

    def save_mark(self, mark: Mark) -> None:
        """Remember the mark that a VM was given; nothing happens for one this store never knew."""

    def forget(self, uuid: str) -> None:
        """Drop a VM, with its addresses; idempotent."""

    # --- operations ---

    def begin(self, operation: Operation, claim: Claim | None = None) -> None:
        """Record an operation, and with it the addresses it claims for its VM; or neither.

        Raises:
            ConflictError: ``being-made``: another makes a thing of that name, or could not undo
                it; ``request-known``: another has this request's id. ``operation`` is its id.
        """

    def aim(self, operation: str, goal: str) -> None:
        """Record what an operation is to reach, once that is known."""

    def announce(self, resource: Resource) -> None:
        """Record what is about to be made."""

    def retract(self, resource: Resource) -> None:
        """Take that back."""

    def enter(self, operation: str, step: Step) -> None:
        """Record a phase; this alone may be lost with the power."""

    def finish(self, operation: str, outcome: Outcome, error: Mapping[str, Any]) -> None:
        """Record how it ended."""

    def operation(self, known_by: str) -> Operation | None:
        """One operation, by its id or the id of its request, with its steps and resources."""

    def operations(self, pool: str = "", *, unfinished: bool = False) -> list[Operation]:
        """Operations, oldest first, without steps and resources.

        Args:
            pool: Of this pool only, unless it is empty.
            unfinished: Only those that are running, were killed, or could not be undone.
        """

    # --- addresses ---

    def reservations(self) -> list[Reservation]:
        """Every address that was promised."""

    def reserve(self, vm: str, claim: Claim) -> None:
        """Replace the addresses of a VM by those it claims; others see both or neither."""

    def release(self, vms: Collection[str]) -> None:
        """Give back the addresses of these VMs."""

    # --- the rest ---

    def settings(self, key: str) -> dict[str, Any] | None:
        """Settings that were validated before, by what they were made from."""

    def save_settings(self, key: str, value: Mapping[str, Any]) -> None:
        """Remember validated settings."""

    def lock(self, name: str, *, seconds: float) -> AbstractContextManager[None]:
        """Hold a lock that ends with the process, however it ends.

        Raises:
            TimeoutError: Another thread or process has held it all that time.
        """
