"""What happens to the VMs of a pool: told by the hypervisor, or found by looking repeatedly."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_core.errors import UnavailableError
from ims_core.models import Change, ChangeKind, State
from ims_core.service.lifecycle import OFF
from ims_core.spi import Watch

if TYPE_CHECKING:
    from ims_core.service.session import Session
    from ims_core.service.waiting import Deadline

__all__ = ["Changes", "Happened"]

_SLICE = 1.0
"""Seconds that one wait takes at most, so that whoever waits may do other things as well."""


@dataclass(frozen=True, slots=True)
class Happened:
    """A change, and when it was at the earliest; it was at the latest when we heard of it."""

    change: Change
    since: float


class Changes:
    """The changes of one pool, from the first call of :meth:`wait` on.

    What happens while a connection is lost is found afterwards, but for a VM that was off and on
    again by then.
    """

    def __init__(self, session: Session, every: float) -> None:
        """Nothing is asked yet.

        Args:
            session: Its pool.
            every: Seconds between two looks, where the hypervisor tells nothing by itself.
        """
        provider = session.provider
        self._session = session
        self._tells = provider if isinstance(provider, Watch) else None
        self._every = every
        self._on: frozenset[str] | None = None  # UUIDs of the VMs that are not off
        self._looked = 0.0
        self._next = 0.0  # on the clock that nobody sets
        self._listening = False

    def wait(self, deadline: Deadline) -> list[Happened]:
        """What has happened since the last call; waits for a second at most, if nothing has.

        Raises:
            UnavailableError: The hypervisor cannot be asked; the next call tries anew.
        """
        try:
            if not self._listening:
                if self._tells is not None:
                    self._tells.changes(0)
                self._listening = True
                return self._look()
            if self._tells is not None:
                return self._told(self._tells, min(_SLICE, deadline.left))
            left = self._next - time.monotonic()
            if left > 0:
                deadline.pause(min(_SLICE, left))
                return []
            return self._look()
        except UnavailableError:
            self._listening = False
            raise

    def _told(self, provider: Watch, seconds: float) -> list[Happened]:
        changes = provider.changes(seconds)
        on = set(self._on or ())
        for each in changes:
            if each.kind is ChangeKind.STOPPED:
                on.discard(each.vm)
            else:
                on.add(each.vm)
        self._on, self._looked = frozenset(on), time.time()
        return [Happened(each, each.at) for each in changes]

    def _look(self) -> list[Happened]:
        """Compare what runs now with what ran before; the first look finds nothing."""
        known = self._session.store.marks(self._session.pool.name)
        vms = self._session.provider.inspect(known=known)
        before, since, now = self._on, self._looked, time.time()
        unsure = {vm.uuid for vm in vms if vm.state is State.UNKNOWN} & (before or set())
        on = frozenset(vm.uuid for vm in vms if vm.state not in (*OFF, State.UNKNOWN)) | unsure
        self._on, self._looked, self._next = on, now, time.monotonic() + self._every
        if before is None:
            return []
        found = [(uuid, ChangeKind.STARTED) for uuid in on - before]
        found += [(uuid, ChangeKind.STOPPED) for uuid in before - on]
        return [Happened(Change(uuid, kind, now), since) for uuid, kind in sorted(found)]
