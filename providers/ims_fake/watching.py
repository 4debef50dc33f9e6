"""What happens to VMs, found by comparing their descriptions: a directory tells nothing itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ims_core.models import Change, ChangeKind
from ims_fake.domain import OFF

if TYPE_CHECKING:
    from ims_fake.domain import Domain
    from ims_fake.vms import VMs

__all__ = ["Watcher"]

_PAUSE = 0.02


class Watcher:
    """Compares what is there with what was there."""

    def __init__(self, vms: VMs) -> None:
        """It has not looked yet."""
        self._vms = vms
        self._before: dict[str, Domain] | None = None

    def changes(self, timeout: float) -> list[Change]:
        """See the SPI."""
        end = time.monotonic() + timeout
        while True:
            before, self._before = self._before, {each.uuid: each for each in self._vms.found()}
            found = [] if before is None else _between(before, self._before)
            if found or before is None or time.monotonic() >= end:
                return found
            time.sleep(min(_PAUSE, max(0.0, end - time.monotonic())))


def _between(before: dict[str, Domain], after: dict[str, Domain]) -> list[Change]:
    found, at = [], time.time()
    for uuid in before | after:
        was, now = before.get(uuid), after.get(uuid)
        ran, runs = (each is not None and each.state not in OFF for each in (was, now))
        began = now.started if now is not None else None
        booted = began is not None and (was is None or began != was.started)
        if ran and (booted or not runs):
            found.append(Change(uuid, ChangeKind.STOPPED, at))
        if booted:
            found.append(Change(uuid, ChangeKind.STARTED, at))
        if booted and not runs:
            found.append(Change(uuid, ChangeKind.STOPPED, at))
    return found
