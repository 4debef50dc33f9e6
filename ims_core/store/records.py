"""What a store keeps: intents, operations and reservations, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.models import Context, Mark, Resource

__all__ = ["Intent", "Operation", "Outcome", "Reservation", "Step"]


@dataclass(frozen=True, slots=True)
class Intent:
    """What a VM is meant to be told at its next start, and how; and the mark it was given."""

    uuid: str
    pool: str
    name: str
    layout: str
    carrier: str
    context: Context
    mark: Mark


class Outcome(StrEnum):
    """How an operation ended, or that it has not."""

    RUNNING = "running"  # or its process was killed: whether its lock is free tells
    DONE = "done"
    FAILED = "failed"  # nothing of it is left
    UNFINISHED = "unfinished"  # it failed, and something could not be undone yet
    KEPT = "kept"  # it failed, and what it made was to be kept for a look


@dataclass(frozen=True, slots=True)
class Step:
    """A phase that an operation entered.

    Attributes:
        at: Seconds since the epoch.
    """

    phase: str
    message: str
    at: float


@dataclass(frozen=True, slots=True)
class Reservation:
    """An address that nobody else may be given.

    Attributes:
        pool: Of the VM.
        network: The provider's name of the network.
        address: Without prefix length.
        vm: UUID of the VM that has it.
    """

    pool: str
    network: str
    address: str
    vm: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One recorded run of a changing verb.

    Attributes:
        id: 16 hexadecimal digits, part of the names of what it makes.
        kind: The verb: ``create-vm``, ``import-template``, …
        subject: Name of the VM or template.
        vm: UUID of the VM; empty for templates.
        request: The caller's id of the request, by which a repetition is known.
        endpoint: The hypervisor, as :attr:`ims_core.spi.Provider.identity` names it.
        goal: What is to be reached, in the verb's own terms: of a create with a request, the
            digest of the order; of an update-context, that of the context, or the nonce with which
            it is told once more; of a delete-template,
            the operation that imported it; of a set-ip, the addresses; of a restore-snapshot and a
            delete-snapshot, the snapshot and the operation that took it.
        started: Seconds since the epoch.
        ended: The same; None while it has not.
        error: The error it ended with, in its JSON form, without its details.
        steps: The phases it went through.
        resources: What it announced, in that order.
    """

    id: str
    kind: str
    pool: str
    subject: str
    vm: str = ""
    request: str = ""
    endpoint: str = ""
    goal: str = ""
    started: float = 0.0
    ended: float | None = None
    outcome: Outcome = Outcome.RUNNING
    error: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    resources: tuple[Resource, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it is left to be ended: not even pieces that were kept."""
        return self.outcome in (Outcome.DONE, Outcome.FAILED)

    @property
    def is_open(self) -> bool:
        """Whether it runs, was killed, or could not be undone."""
        return self.outcome in (Outcome.RUNNING, Outcome.UNFINISHED)
