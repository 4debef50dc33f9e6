"""One libvirt connection, bounded in time, with libvirt's errors told as ours.

libvirt's calls have no timeout of their own. Here its event loop runs in a thread and probes the
peer by keepalive messages: a daemon that stopped answering makes every call fail within
``DEAD_AFTER`` seconds. Opening a connection happens before keepalive can, so it has a bound of its
own. The event loop is libvirt's and belongs to the process; that is why it is the one thing here
that outlives a provider.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import libvirt

from ims_core.errors import (
    AccessDeniedError,
    BusyError,
    CapacityError,
    ConfigError,
    ConflictError,
    HypervisorError,
    ImsError,
    NotFoundError,
    UnavailableError,
)
from ims_kvm.bounded import within

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
_BUSY = (libvirt.VIR_ERR_RESOURCE_BUSY, libvirt.VIR_ERR_OPERATION_TIMEOUT)
# The guest closed its drive before the old CD was out or the new one in, as Linux does for whoever
# opens it: libvirt sends a command for each step, and the next try repeats them all. QEMU says "the
# device" of an empty drive, and names it otherwise.
_CLOSED = re.compile(r"tray of (?:the device|device '[^']*') is not open")
_LOST = (
    *("keepalive", "client socket is closed", "failed to connect", "cannot recv data"),
    *("end of file while reading data", "broken pipe"),
)
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
            if not _is_alive(self._connection):
                self.close()
                self._connection = connect(self._uri)
            return self._connection

    def close(self) -> None:
        """Close it. Idempotent."""
        with suppress(libvirt.libvirtError):  # it was lost, or closed before
            self._connection.close()


def _is_alive(connection: libvirt.virConnect) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:  # it was closed, and could not be made anew then
        return False


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
    try:
        # Bounded, because a stopped daemon accepts the connection and then says nothing for ever.
        connection = within(DEAD_AFTER, lambda: libvirt.open(_without_questions(uri)))
    except libvirt.libvirtError as error:
        raise _unreachable(uri, error) from error
    except UnavailableError:
        raise UnavailableError(
            f"libvirt at {uri} did not answer within {DEAD_AFTER} s",
            hint="is its daemon stopped or overloaded? `systemctl status libvirtd` on its host",
        ) from None
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


def _without_questions(uri: str) -> str:
    """A URI over SSH that never asks a person anything, for there may be none.

    Raises:
        ConfigError: It turns the check of host keys off.
    """
    base, _, query = uri.partition("?")
    if "+ssh" not in base.partition(":")[0]:
        return uri
    if "no_verify=1" in query.split("&"):
        raise ConfigError(
            "the uri turns the check of SSH host keys off (no_verify=1)",
            hint="add the host's key to known_hosts instead",
        )
    return uri if "no_tty=" in query else f"{base}?{query}{'&' if query else ''}no_tty=1"


def _unreachable(uri: str, error: libvirt.libvirtError) -> ImsError:
    text = error.get_error_message() or str(error)
    lower = text.lower()
    denied = "permission denied" in lower or "authentication" in lower
    if denied or error.get_error_code() in _DENIED:
        return AccessDeniedError(
            f"{uri}: {text}",
            hint="add your user to the group libvirt and log in again, or use a session: "
            "LIBVIRT_DEFAULT_URI=qemu:///session; over SSH, check key and host key",
        )
    return _translate(uri, error)


def _translate(subject: str, error: libvirt.libvirtError) -> ImsError:
    code, text = error.get_error_code(), error.get_error_message() or str(error)
    message, lower = f"{subject}: {text}", text.lower()
    if code in _DENIED:
        return AccessDeniedError(message, hint="libvirt's access control refuses it to this user")
    if "permission denied" in lower:
        return HypervisorError(
            message,
            code="file-not-accessible",
            hint="QEMU's user must be able to read the file: look at the modes of its directories,"
            " and at AppArmor or SELinux",
        )
    if code in _GONE or any(words in lower for words in _LOST):
        return UnavailableError(
            message, hint="start it: `systemctl start libvirtd` (or virtqemud) on its host"
        )
    if code in _BUSY or _CLOSED.search(lower):
        return BusyError(message, hint="something else is at work on the same VM; try again")
    if any(words in lower for words in _FULL):
        return CapacityError(message, code="pool-full", hint="free space in the storage pool")
    return _REFUSALS.get(code, _default)(message)


def _default(message: str) -> ImsError:
    if "domain" in message and "already exists" in message:
        return ConflictError(message, code="vm-exists")
    if "Active console session exists" in message:
        return ConflictError(message, code="console-in-use", hint="somebody else is attached")
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
