"""One libvirt connection, bounded in time, with libvirt's errors told as ours.

libvirt's calls have no timeout of their own. Here its event loop runs in a thread and probes the
peer by keepalive messages: a daemon that stopped answering makes every call fail within
``DEAD_AFTER`` seconds. Opening a connection happens before keepalive can, so it has a bound of its
own. The event loop is libvirt's and belongs to the process; that is why it is the one thing here
that outlives a provider.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import libvirt

from ims_core.errors import (
    AccessDeniedError,
    CapacityError,
    ConflictError,
    HypervisorError,
    ImsError,
    NotFoundError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["DEAD_AFTER", "Link", "choose_uri", "connect", "libvirt_errors"]

KEEPALIVE_INTERVAL = 3
KEEPALIVE_COUNT = 3
DEAD_AFTER = KEEPALIVE_INTERVAL * (KEEPALIVE_COUNT + 1)
SYSTEM_SOCKETS = ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock")

_loop_lock = threading.Lock()
_loop_running = False

_GONE = (
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_CONN,
    libvirt.VIR_ERR_RPC,
)
_DENIED = (
    libvirt.VIR_ERR_AUTH_FAILED,
    libvirt.VIR_ERR_AUTH_CANCELLED,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE,
    libvirt.VIR_ERR_ACCESS_DENIED,
    libvirt.VIR_ERR_OPERATION_DENIED,
)
_LOST = ("keepalive", "client socket is closed", "failed to connect", "cannot recv data")
_FULL = ("no space left", "disk quota")


class Link:
    """A connection that is made anew when it was lost, for the next call."""

    def __init__(self, uri: str) -> None:
        """Connect; raises as :func:`connect` does."""
        self._uri = uri
        self._lock = threading.Lock()
        self._connection = connect(uri)

    @property
    def live(self) -> libvirt.virConnect:
        """The connection; whether it still is one costs no request."""
        with self._lock:
            if not self._connection.isAlive():
                self.close()
                self._connection = connect(self._uri)
            return self._connection

    def close(self) -> None:
        """Close it. Idempotent."""
        with suppress(libvirt.libvirtError):  # it was lost, or closed before
            self._connection.close()


def choose_uri(configured: str) -> str:
    """The URI to connect to, as the ``uri`` setting describes."""
    if configured:
        return configured
    if given := os.environ.get("LIBVIRT_DEFAULT_URI"):
        return given
    reachable = any(os.access(socket, os.R_OK | os.W_OK) for socket in SYSTEM_SOCKETS)
    return "qemu:///system" if reachable else "qemu:///session"


def connect(uri: str) -> libvirt.virConnect:
    """Open a connection within ``DEAD_AFTER`` seconds.

    Raises:
        UnavailableError: Nobody answers.
        AccessDeniedError: This user may not use it.
    """
    _run_event_loop()
    opened: list[libvirt.virConnect] = []
    failed: list[Exception] = []

    def attempt() -> None:
        try:
            opened.append(libvirt.open(uri))
        except libvirt.libvirtError as error:
            failed.append(error)

    # A thread, because a stopped daemon accepts the connection and then says nothing for ever.
    thread = threading.Thread(target=attempt, name="ims-libvirt-open", daemon=True)
    thread.start()
    thread.join(DEAD_AFTER)
    if failed:
        with libvirt_errors(uri):
            raise failed[0]
    if not opened:
        raise UnavailableError(
            f"libvirt at {uri} did not answer within {DEAD_AFTER} s",
            hint="is its daemon stopped or overloaded? `systemctl status libvirtd` on its host",
        )
    connection = opened[0]
    with suppress(libvirt.libvirtError):  # test:///default has no peer that could stop answering
        connection.setKeepAlive(KEEPALIVE_INTERVAL, KEEPALIVE_COUNT)
    return connection


@contextmanager
def libvirt_errors(subject: str) -> Iterator[None]:
    """Turn a libvirt error into one of ours that names the subject; the original is its cause."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise _translate(subject, error) from error


def _translate(subject: str, error: libvirt.libvirtError) -> ImsError:
    code, text = error.get_error_code(), error.get_error_message() or str(error)
    message, lower = f"{subject}: {text}", text.lower()
    if code in _DENIED or "permission denied" in lower or "authentication" in lower:
        return AccessDeniedError(
            message,
            hint="add your user to the group libvirt and log in again, or use a session: "
            "LIBVIRT_DEFAULT_URI=qemu:///session",
        )
    if code in _GONE or any(words in lower for words in _LOST):
        return UnavailableError(
            message, hint="start it: `systemctl start libvirtd` (or virtqemud) on its host"
        )
    if any(words in lower for words in _FULL):
        return CapacityError(message, code="pool-full", hint="free space in the storage pool")
    return _REFUSALS.get(code, _default)(message)


def _default(message: str) -> ImsError:
    if "already exists" in message:
        return ConflictError(message, code="vm-exists")
    return HypervisorError(message)


_REFUSALS: dict[int, Callable[[str], ImsError]] = {
    libvirt.VIR_ERR_NO_DOMAIN: NotFoundError,
    libvirt.VIR_ERR_NO_STORAGE_VOL: NotFoundError,
    libvirt.VIR_ERR_NO_STORAGE_POOL: NotFoundError,
    libvirt.VIR_ERR_NO_NETWORK: NotFoundError,
    libvirt.VIR_ERR_OPERATION_INVALID: ConflictError,
}


def _run_event_loop() -> None:
    global _loop_running  # noqa: PLW0603 - libvirt has one event loop for each process
    with _loop_lock:
        if _loop_running:
            return
        # libvirt prints errors to stderr unless told otherwise; we raise them instead.
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_loop, name="ims-libvirt-events", daemon=True).start()
        _loop_running = True


def _loop() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
