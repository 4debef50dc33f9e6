"""What happens to domains, by libvirt's lifecycle events."""

from __future__ import annotations

import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import libvirt

from ims_core.errors import UnavailableError
from ims_core.models import Change, ChangeKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_kvm.connection import Link

__all__ = ["Watcher"]

_KINDS = {
    (libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_STARTED_BOOTED): ChangeKind.STARTED,
    # A domain that comes by migration is STARTED before it is here, and RESUMED once it is.
    (
        libvirt.VIR_DOMAIN_EVENT_RESUMED,
        libvirt.VIR_DOMAIN_EVENT_RESUMED_MIGRATED,
    ): ChangeKind.MIGRATED,
}


class Watcher:
    """Listens on the connection of a link, once it is asked."""

    def __init__(self, link: Link) -> None:
        """It does not listen yet."""
        self._link = link
        self._heard: SimpleQueue[Change | None] = SimpleQueue()
        self._connection: libvirt.virConnect | None = None
        self._listener = -1

    def changes(self, timeout: float) -> Sequence[Change]:
        """See the SPI."""
        connection, before = self._link.live, self._connection
        if connection is not before:
            self.close()
            self._listen(connection)
            if before is not None:
                raise _missed()
            return []
        found = []
        with suppress(Empty):
            found.append(self._heard.get(timeout=timeout))
            while True:
                found.append(self._heard.get_nowait())
        changes = [each for each in found if each is not None]
        if len(changes) < len(found):
            if not changes:
                self.close()
                raise _missed()
            self._heard.put(None)  # what was heard before comes first
        return changes

    def close(self) -> None:
        """Listen no more. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(libvirt.libvirtError):  # it was lost, or closed before
                connection.domainEventDeregisterAny(self._listener)
                connection.unregisterCloseCallback()

    def _listen(self, connection: libvirt.virConnect) -> None:
        self._heard = SimpleQueue()
        kind = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
        self._listener = connection.domainEventRegisterAny(None, kind, _note, self._heard)
        connection.registerCloseCallback(_note_end, self._heard)
        self._connection = connection


# libvirt calls these in its own thread, and keeps what they are given.


def _note(
    _connection: libvirt.virConnect,
    domain: libvirt.virDomain,
    event: int,
    detail: int,
    heard: SimpleQueue[Change | None],
) -> None:
    kind = _KINDS.get((event, detail))
    suspended = detail == libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED
    if event == libvirt.VIR_DOMAIN_EVENT_STOPPED and not suspended:
        kind = ChangeKind.STOPPED
    if kind is not None:
        heard.put(Change(domain.UUIDString(), kind, time.time()))


def _note_end(
    _connection: libvirt.virConnect, _reason: int, heard: SimpleQueue[Change | None]
) -> Any:
    heard.put(None)


def _missed() -> UnavailableError:
    return UnavailableError("the connection to libvirt was lost; it is listened to again")
