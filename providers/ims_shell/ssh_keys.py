"""Log in by key: those that ssh_config names, those of the agent, or a user's default ones.

There is nobody to type anything, so a key with a passphrase is of use only in an agent, and
passwords are never tried.
"""

from __future__ import annotations

import base64
import binascii
import os
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from paramiko import AuthenticationException, Message, PKey, SSHException
from paramiko.agent import AgentSSH
from paramiko.pkey import UnknownKeyType

from ims_core.errors import AccessDeniedError, UnavailableError
from ims_shell.host_keys import fingerprint
from ims_shell.ssh_files import user_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from paramiko import Transport

    from ims_shell.ssh_config import Host

__all__ = ["log_in"]

_DEFAULT_NAMES = ("id_rsa", "id_ecdsa", "id_ed25519")
_MAGIC = b"openssh-key-v1\0"
_AGENT_SECONDS = 15.0
_KEY_LIMIT = 64 * 2**10


@dataclass(slots=True)
class _Keys:
    """What there is to offer, and what was noticed while looking for it."""

    offers: list[tuple[str, PKey]] = field(default_factory=list)
    encrypted: list[Path] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)


class _Agent(AgentSSH):
    """The user's agent; unlike paramiko's, it is not waited for without end."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(_AGENT_SECONDS)
            self._socket.connect(path)
            self._connect(self._socket)  # type: ignore[attr-defined]  # what paramiko's own ends in
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()


def log_in(transport: Transport, host: Host, *, deadline: float) -> None:
    """Offer one key after the other until one is accepted.

    Args:
        transport: Has verified the host.
        host: Says who logs in, and with which keys.
        deadline: Until when, by the monotonic clock.

    Raises:
        AccessDeniedError: ``ssh-key-refused``, or ``ssh-key-encrypted``.
        UnavailableError: The server stopped answering.
    """
    agent = _find_agent()
    try:
        keys = _collect(host, agent.get_keys() if agent is not None else ())
        refused: list[str] = []
        for label, key in keys.offers:
            if _offer(transport, host, key, deadline=deadline):
                return
            refused.append(f"{label} ({fingerprint(key.asbytes())})")
            if not transport.is_active():
                if len(refused) == 1:
                    raise UnavailableError(
                        f"{host.name} ended the connection during the login", code="connection-lost"
                    )
                keys.unusable.append("and it ended the connection, so no more were offered")
                break
    finally:
        if agent is not None:
            agent.close()
    raise _refusal(host, keys, refused)


def _offer(transport: Transport, host: Host, key: PKey, *, deadline: float) -> bool:
    transport.auth_timeout = max(0.1, deadline - time.monotonic())
    try:
        missing = transport.auth_publickey(host.user, key)
    except (SSHException, OSError, EOFError) as error:
        if time.monotonic() >= deadline:
            raise UnavailableError(
                f"{host.name} did not answer the login in time", code="no-answer"
            ) from error
        return False
    if missing:
        raise AccessDeniedError(
            f"{host.name} takes {host.user}'s key but asks for more: {', '.join(missing)}",
            code="ssh-key-refused",
            hint="IMS logs in by key alone; AuthenticationMethods in its sshd_config says more",
        )
    return True


def _find_agent() -> _Agent | None:
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        return None
    try:
        return _Agent(path)
    except (OSError, SSHException):  # it is gone, and the variable was left behind
        return None


def _collect(host: Host, held: Sequence[PKey]) -> _Keys:
    """What to offer, in OpenSSH's order: named keys in the agent, its others, then files."""
    keys = _Keys()
    by_blob = {key.asbytes(): key for key in held}
    paths = [path for path in _files(host) if path.is_file()]
    named = {path: blob for path in paths if (blob := _public_part(path)) in by_blob}
    for path, blob in named.items():
        keys.offers.append((f"{path}, held by the agent", by_blob[blob]))
    if not host.identities_only:
        others = (key for blob, key in by_blob.items() if blob not in set(named.values()))
        keys.offers.extend((f"{key.get_name()}, held by the agent", key) for key in others)
    for path in paths:
        if path not in named:
            _load(path, keys)
    if host.identity_files is not None:
        keys.unusable.extend(f"{path} does not exist" for path in _files(host) if path not in paths)
    return keys


def _files(host: Host) -> Iterator[Path]:
    if host.identity_files is not None:
        yield from host.identity_files
    else:
        yield from (user_folder() / name for name in _DEFAULT_NAMES)


def _load(path: Path, keys: _Keys) -> None:
    try:
        keys.offers.append((str(path), PKey.from_path(path)))
    except TypeError:  # cryptography's way to ask for a passphrase; AuthenticationException is ours
        keys.encrypted.append(path)
    except AuthenticationException:
        keys.encrypted.append(path)
    except OSError as error:
        keys.unusable.append(f"{path} cannot be read ({error.strerror})")
    except (ValueError, SSHException, UnknownKeyType, UnsupportedAlgorithm):
        keys.unusable.append(f"{path} is not a private key of a known type")


def _public_part(path: Path) -> bytes | None:
    """The public half of a key file, without its passphrase, if that can be had."""
    for candidate in (path.with_name(f"{path.name}.pub"), path):
        fields = _head(candidate).split(None, 2)
        if len(fields) > 1 and not fields[0].startswith(b"-"):
            try:
                return base64.b64decode(fields[1], validate=True)
            except binascii.Error:
                continue
    lines = _head(path).splitlines()[1:-1]
    try:
        data = base64.b64decode(b"".join(lines))
    except binascii.Error:
        return None
    if not data.startswith(_MAGIC):
        return None
    message = Message(data[len(_MAGIC) :])
    for _cipher_kdf_options in range(3):
        message.get_binary()
    return message.get_binary() if message.get_int() == 1 else None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_KEY_LIMIT)
    except OSError:
        return b""


def _refusal(host: Host, keys: _Keys, refused: Sequence[str]) -> AccessDeniedError:
    locked = [f"{path} is encrypted and not in an agent" for path in keys.encrypted]
    more = "; ".join([*locked, *keys.unusable])
    if locked and not refused:
        return AccessDeniedError(
            f"no key for {host.user} at {host.name}: {more}",
            code="ssh-key-encrypted",
            hint=f"`ssh-add {keys.encrypted[0]}` in the session that IMS runs in,"
            " or name a key without a passphrase",
        )
    offered = f"refused {', '.join(refused)}" if refused else "was offered no key: there is none"
    return AccessDeniedError(
        f"{host.name} does not let {host.user} in: it {offered}" + (f"; {more}" if more else ""),
        code="ssh-key-refused",
        hint=f"`ssh-copy-id -i KEY.pub {host.user}@{host.name}` as somebody who may log in",
    )
