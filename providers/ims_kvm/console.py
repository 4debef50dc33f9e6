"""A guest's console over a libvirt stream."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING

import libvirt

from ims_core.console import INPUT_SECONDS, takes_no_input
from ims_kvm.connection import libvirt_errors

if TYPE_CHECKING:
    from typing import Any

__all__ = ["LibvirtConsole"]

_READ = libvirt.VIR_STREAM_EVENT_READABLE
_OVER = libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP
_CHUNK = 4096
_AGAIN = -2
_PAUSE = 0.01


class LibvirtConsole:
    """Bytes to and from a console; libvirt's event loop delivers what the guest sends."""

    def __init__(self, connection: libvirt.virConnect, domain: libvirt.virDomain) -> None:
        """Attach; raises a libvirt error if somebody else is attached."""
        self._received: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._stream = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
        domain.openConsole(None, self._stream, 0)
        self._stream.eventAddCallback(_READ | _OVER, self._on_event, None)
        self._open = True

    def read(self, timeout: float) -> bytes:
        """Bytes the guest sent; empty when none came in time.

        Raises:
            EOFError: The console was closed.
        """
        try:
            part = self._received.get(timeout=timeout)
        except queue.Empty:
            return b""
        if part is None:
            self._received.put(None)
            raise EOFError
        return part

    def write(self, data: bytes) -> None:
        """Send bytes to the guest.

        Raises:
            UnavailableError: It takes none for ``INPUT_SECONDS``.
        """
        deadline = time.monotonic() + INPUT_SECONDS
        with libvirt_errors("console"):
            while data:
                if time.monotonic() > deadline:
                    raise takes_no_input()
                sent = self._stream.send(data)
                if sent == _AGAIN:  # the guest is slow to read; there is no event to wait for here
                    time.sleep(_PAUSE)
                else:
                    data = data[sent:]
                    deadline = time.monotonic() + INPUT_SECONDS

    def close(self) -> None:
        """Detach. Idempotent."""
        if not self._open:
            return
        self._open = False
        try:
            self._stream.eventRemoveCallback()
            self._stream.abort()
        except libvirt.libvirtError:
            pass  # it was closed from the other side already

    def _on_event(self, stream: libvirt.virStream, events: int, _opaque: Any) -> None:
        """Called in the event loop's thread."""
        try:
            while events & _READ:
                part = stream.recv(_CHUNK)
                if part == _AGAIN or not part:
                    break
                self._received.put(part)
        except libvirt.libvirtError:
            events |= _OVER
        if events & _OVER:
            self._received.put(None)
