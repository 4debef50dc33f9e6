"""One SSH connection: reached, verified, logged in, and watched.

paramiko reads in a thread of its own. A second one here asks the server for a sign of life every
``KEEPALIVE`` seconds; one that gives none for ``PATIENCE`` seconds is as good as gone, and the
connection is closed under whoever waits for it.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from paramiko import ChannelException, SSHException, Transport
from paramiko.ssh_exception import IncompatiblePeer

from ims_core.errors import ConfigError, UnavailableError
from ims_dom0.host_keys import HostKeys
from ims_dom0.proxy_command import ProxyProcess
from ims_dom0.ssh_config import look_up
from ims_dom0.ssh_keys import log_in

if TYPE_CHECKING:
    from paramiko import Channel

    from ims_dom0.ssh_config import Host

__all__ = ["DEAD_AFTER", "Connection", "connect"]

KEEPALIVE = 5.0
PATIENCE = 10.0
DEAD_AFTER = KEEPALIVE + PATIENCE
"""Seconds after which a server that is silent is known to be gone."""

_HOPS = 8
_END = 5.0
_LOG = "ims.ssh.transport"
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""What a key type is called in the negotiation, where that differs."""

logging.getLogger(_LOG).addHandler(logging.NullHandler())
logging.getLogger(_LOG).propagate = False  # paramiko logs as errors what we raise


class Connection:
    """A transport, and what it goes through."""

    def __init__(
        self, transport: Transport, through: Connection | None, proxy: ProxyProcess | None
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
        _end_transport(self.transport)
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(_END)
        if self._proxy is not None:
            self._proxy.close()
        if self._through is not None:
            self._through.close()

    def _ask(self) -> None:
        while not self._ended.wait(KEEPALIVE) and self.transport.is_active():
            alarm = threading.Timer(PATIENCE, self.cut)
            alarm.daemon = True
            alarm.start()
            with suppress(SSHException, EOFError, OSError):
                # Any answer will do; OpenSSH's is a refusal.
                self.transport.global_request("keepalive@openssh.com", wait=True)
            alarm.cancel()
            alarm.join(_END)


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
        config: The ssh_config for hosts on the way; see :func:`~ims_dom0.ssh_config.look_up`.
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
            way = look_up(hop.host, config=config, user=hop.user, port=hop.port)
            through = connect(
                way, config=config, deadline=deadline, through=through, depth=depth + 1
            )
        connection = _verified(host, HostKeys(host, pinned), through, deadline)
    except BaseException:
        if through is not None:
            through.close()
        raise
    try:
        log_in(connection.transport, host, deadline=deadline)
    except BaseException:
        connection.close()
        raise
    return connection


def _verified(
    host: Host, keys: HostKeys, through: Connection | None, deadline: float
) -> Connection:
    """A connection to the right server.

    A server shows one of its keys, of a type that we choose: one that is known, as a key of
    another type would look like a wrong one. Of a fingerprint the type is not known, so with that
    all are tried.
    """
    tried: set[str] = set()
    while True:
        proxy = ProxyProcess(host.command) if host.command and through is None else None
        transport = None
        right = False
        try:
            transport = _transport(_dial(host, through, proxy, deadline))
            _choose(transport, keys, tried)
            kind, key = _negotiate(transport, host, keys, proxy, deadline)
            right = keys.accepts(key)
        finally:
            if not right:
                _give_up(transport, proxy)
        if right:
            return Connection(transport, through, proxy)
        if not keys.pinned or keys.revokes(key):
            raise keys.refuse(kind, key)
        tried.add(kind)


def _give_up(transport: Transport | None, proxy: ProxyProcess | None) -> None:
    if transport is not None:
        _end_transport(transport)
    if proxy is not None:
        proxy.close()


def _end_transport(transport: Transport) -> None:
    transport.close()
    transport.sock.close()  # close() leaves it alone in a transport that was never active
    if transport.ident is not None:
        transport.join(_END)
    transport.packetizer.complete_handshake()  # or its timer, which that thread starts, would go on


def _transport(line: socket.socket | Channel) -> Transport:
    try:
        transport = Transport(line)
    except BaseException:
        line.close()
        raise
    transport.set_log_channel(_LOG)
    return transport


def _choose(transport: Transport, keys: HostKeys, tried: set[str]) -> None:
    """Ask for the types of host key that can turn out to be right."""
    options = transport.get_security_options()
    wanted = {name for kind in keys.kinds for name in _SIGNATURES.get(kind, (kind,))}
    not_again = {name for kind in tried for name in _SIGNATURES.get(kind, (kind,))}
    kinds = [
        kind
        for kind in options.key_types
        if kind not in not_again and (kind in wanted or not wanted)
    ]
    if not kinds:
        raise keys.refuse("", None)
    options.key_types = tuple(kinds)


def _negotiate(
    transport: Transport,
    host: Host,
    keys: HostKeys,
    proxy: ProxyProcess | None,
    deadline: float,
) -> tuple[str, bytes]:
    """Agree on keys; returns the type of the server's, and the key."""
    left = _left(deadline, host)
    transport.banner_timeout = transport.handshake_timeout = left
    try:
        transport.start_client(timeout=left)
        if not transport.initial_kex_done:
            raise _silent(host)
        key = transport.get_remote_server_key()
    except IncompatiblePeer as error:
        if "host key" in str(error) and (keys.kinds or keys.pinned):
            raise keys.refuse("", None) from error
        raise UnavailableError(
            f"{host.name}: {error}",
            code="ssh-incompatible",
            hint="the server's sshd is too old, or its algorithms are restricted",
        ) from error
    except (SSHException, EOFError, OSError) as error:
        if time.monotonic() >= deadline:
            raise _silent(host) from error
        said = proxy.complaint() if proxy is not None else ""
        raise UnavailableError(
            f"{host.name}: no SSH server answers at {host.known_as}"
            f" ({said or str(error) or 'it hung up'})",
            hint=f"does `ssh {host.name}` work?",
        ) from error
    return key.get_name(), key.asbytes()


def _dial(
    host: Host, through: Connection | None, proxy: ProxyProcess | None, deadline: float
) -> socket.socket | Channel:
    if proxy is not None:
        return proxy.socket
    left = _left(deadline, host)
    if through is not None:
        try:
            return through.transport.open_channel(
                "direct-tcpip", (host.address, host.port), ("127.0.0.1", 0), timeout=left
            )
        except (ChannelException, SSHException, EOFError, OSError) as error:
            raise UnavailableError(
                f"{host.name}: the host before it on the way does not connect to"
                f" {host.known_as} ({error})",
                hint="is the name known there, and AllowTcpForwarding on?",
            ) from error
    try:
        line = socket.create_connection((host.address, host.port), left)
    except TimeoutError as error:
        raise _silent(host) from error
    except OSError as error:
        raise UnavailableError(
            f"{host.name} cannot be reached at {host.known_as} ({error.strerror or error})",
            hint="is it running, and is the name right?",
        ) from error
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # scripts are small, and many
    return line


def _left(deadline: float, host: Host) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise _silent(host)
    return left


def _silent(host: Host) -> UnavailableError:
    return UnavailableError(
        f"{host.name} did not answer in time at {host.known_as}",
        code="no-answer",
        hint="is it running, and does a firewall drop what is sent to it?",
    )
