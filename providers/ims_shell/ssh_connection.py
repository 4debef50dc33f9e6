"""One SSH connection: reached, verified, logged in, and watched.

paramiko reads in a thread of its own. A second one here asks the server for a sign of life every
``KEEPALIVE`` seconds; one that then says nothing for ``PATIENCE`` seconds is as good as gone, and
the connection is closed under whoever waits for it. Whatever it says is a sign of life, as in
OpenSSH's ``ServerAliveInterval``: on a slow line the question waits behind the data of an upload.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from paramiko import SSHException

from ims_core.errors import ConfigError
from ims_shell.host_keys import HostKeys
from ims_shell.patience import Clock, watched
from ims_shell.ssh_config import look_up
from ims_shell.ssh_handshake import end_transport, verified
from ims_shell.ssh_keys import log_in

if TYPE_CHECKING:
    from ims_shell.proxy_command import ProxyProcess
    from ims_shell.ssh_config import Host
    from ims_shell.ssh_sessions import SessionTransport

__all__ = ["Connection", "connect"]

KEEPALIVE = 5.0
PATIENCE = 20.0

_HOPS = 8
_END = 5.0


class Connection:
    """A transport, and what it goes through."""

    def __init__(
        self, transport: SessionTransport, through: Connection | None, proxy: ProxyProcess | None
    ) -> None:
        """Take them over."""
        self.transport = transport
        self._through = through
        self._proxy = proxy
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether it still is one, as far as is known; costs no request."""
        return self.transport.is_active() and not self._ended.is_set()

    def watch(self) -> None:
        """Ask for signs of life from now on."""
        self._watcher = threading.Thread(target=self._ask, name="ims-ssh-watch", daemon=True)
        self._watcher.start()

    def cut(self) -> None:
        """Make everything that waits for the server fail. Sends nothing, so it never waits."""
        self._ended.set()
        if self._through is not None:
            self._through.cut()  # first, or closing our channel in it would wait for the server
        if self._proxy is not None:
            self._proxy.socket.close()
        self.transport.close()

    def close(self) -> None:
        """End it, its threads and its processes. Idempotent; never raises."""
        self.cut()
        end_transport(self.transport)
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(_END)
        if self._proxy is not None:
            self._proxy.close()
        if self._through is not None:
            self._through.close()

    def _ask(self) -> None:
        while not self._ended.wait(KEEPALIVE) and self.transport.is_active():
            clock = Clock(PATIENCE, renewed=True)
            self.transport.tell_of_packets(clock.moved)
            with watched(clock, self.cut, grace=0), suppress(SSHException, EOFError, OSError):
                # Any answer will do; OpenSSH's is a refusal.
                self.transport.global_request("keepalive@openssh.com", wait=True)


def connect(
    host: Host,
    *,
    config: str,
    deadline: float,
    pinned: str = "",
    through: Connection | None = None,
    depth: int = 0,
) -> Connection:
    """Reach a host, verify it, and log in.

    Args:
        host: Where to.
        config: The ssh_config for hosts on the way; see :func:`~ims_shell.ssh_config.look_up`.
        deadline: Until when, by the monotonic clock.
        pinned: The only fingerprint that it may have.
        through: A connection to go through, instead of what ssh_config says about the way. It
            is taken over, and closed if this fails.
        depth: How many hosts are being reached already for which this one is on the way.

    Raises:
        UnavailableError: It cannot be reached, or does not answer in time.
        AccessDeniedError: It is not the right one, or does not let us in.
        ConfigError: ssh_config cannot be obeyed.
    """
    if depth > _HOPS:
        raise ConfigError(
            f"the way to {host.name} goes over more than {_HOPS} hosts, or in a circle",
            hint=f"say `ProxyJump none` in the Host block of {host.name}",
        )
    try:
        for hop in host.jumps if through is None else ():
            through = connect(
                look_up(hop.host, config=config, user=hop.user, port=hop.port),
                config=config,
                deadline=deadline,
                through=through,
                depth=depth + 1,
            )
        keys = HostKeys(host, pinned)
        way = through.transport if through is not None else None
        transport, proxy = verified(host, keys, way, deadline)
    except BaseException:
        if through is not None:
            through.close()
        raise
    connection = Connection(transport, through, proxy)
    try:
        log_in(connection.transport, host, deadline=deadline)
    except BaseException:
        connection.close()
        raise
    return connection
