"""Reach an SSH server, and make sure that it is the right one, before anybody logs in."""

from __future__ import annotations

import logging
import socket
import time
from typing import TYPE_CHECKING

from paramiko import ChannelException, SSHException
from paramiko.ssh_exception import IncompatiblePeer

from ims_core.errors import UnavailableError
from ims_shell.proxy_command import ProxyProcess
from ims_shell.ssh_sessions import SessionTransport

if TYPE_CHECKING:
    from paramiko import Channel, Transport

    from ims_shell.host_keys import HostKeys
    from ims_shell.ssh_config import Host

__all__ = ["end_transport", "verified"]

_END = 5.0
_LOG = "ims.ssh.transport"
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""What a key type is called in the negotiation, where that differs."""

logging.getLogger(_LOG).addHandler(logging.NullHandler())
logging.getLogger(_LOG).propagate = False  # paramiko logs as errors what we raise


def verified(
    host: Host, keys: HostKeys, through: Transport | None, deadline: float
) -> tuple[SessionTransport, ProxyProcess | None]:
    """A transport to the right server, and the process that it goes through, if any.

    A server shows one of its keys, of a type that we choose: one that is known, as a key of
    another type would look like a wrong one. Of a fingerprint the type is not known, so with that
    all are tried.

    Args:
        host: Where to.
        keys: Those that it may have.
        through: A transport to go through, instead of what the host's ``command`` says.
        deadline: Until when, by the monotonic clock.

    Raises:
        UnavailableError: It cannot be reached, or does not answer in time.
        AccessDeniedError: It is not the right one.
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
            return transport, proxy
        if not keys.pinned or keys.revokes(key):
            raise keys.refuse(kind, key)
        tried.add(kind)


def _give_up(transport: Transport | None, proxy: ProxyProcess | None) -> None:
    if transport is not None:
        end_transport(transport)
    if proxy is not None:
        proxy.close()


def end_transport(transport: Transport) -> None:
    """Close it, and wait for its threads."""
    transport.close()
    transport.sock.close()  # close() leaves it alone in a transport that was never active
    if transport.ident is not None:
        transport.join(_END)
    transport.packetizer.complete_handshake()  # or its timer, which that thread starts, would go on


def _transport(line: socket.socket | Channel) -> SessionTransport:
    try:
        transport = SessionTransport(line)
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
    host: Host, through: Transport | None, proxy: ProxyProcess | None, deadline: float
) -> socket.socket | Channel:
    if proxy is not None:
        return proxy.socket
    left = _left(deadline, host)
    if through is not None:
        try:
            return through.open_channel(
                "direct-tcpip", (host.address, host.port), ("127.0.0.1", 0), timeout=left
            )
        except (ChannelException, SSHException, EOFError, OSError) as error:
            raise UnavailableError(
                f"{host.name}: the host before it on the way does not connect to"
                f" {host.known_as} ({error})",
                hint="is the name known there, and AllowTcpForwarding on?",
            ) from error
    line = _call_up(host, deadline)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # scripts are small, and many
    return line


def _call_up(host: Host, deadline: float) -> socket.socket:
    """A TCP connection. Every address gets a fair share of the time, should one be silent."""
    error: OSError | None = None
    try:
        places = socket.getaddrinfo(host.address, host.port, type=socket.SOCK_STREAM)
        for number, (family, kind, protocol, _, place) in enumerate(places):
            line = socket.socket(family, kind, protocol)
            try:
                line.settimeout(_left(deadline, host) / (len(places) - number))
                line.connect(place)
            except OSError as problem:
                line.close()
                error = problem
            except BaseException:
                line.close()
                raise
            else:
                return line
    except OSError as problem:  # the name is not known
        error = problem
    if isinstance(error, TimeoutError):
        raise _silent(host) from error
    raise UnavailableError(
        f"{host.name} cannot be reached at {host.known_as}"
        f" ({error.strerror if error and error.strerror else error})",
        hint="is it running, and is the name right?",
    ) from error


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
