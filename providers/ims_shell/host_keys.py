"""Whether a server is the one that it should be: known_hosts, or a fingerprint given by hand.

Nothing is ever added to known_hosts here. Keys are compared as bytes; of certificates
(``@cert-authority``) nothing is understood, so their lines make no host known.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_core.errors import AccessDeniedError, ConfigError
from ims_shell.ssh_files import any_fits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ims_shell.ssh_config import Host

__all__ = ["HostKeys", "fingerprint"]

_FIELDS = 3
_REVOKED = "@revoked"


@dataclass(frozen=True, slots=True)
class _Line:
    place: str
    marker: str
    kind: str
    key: bytes


class HostKeys:
    """The keys that one host may have."""

    def __init__(self, host: Host, pinned: str = "") -> None:
        """Read its known_hosts.

        Args:
            host: Whose keys.
            pinned: The only fingerprint that it may have, as ``ssh-keygen -l`` prints it; then
                known_hosts can only revoke it.

        Raises:
            ConfigError: The fingerprint is none, or a file cannot be read.
        """
        if pinned and not pinned.startswith("SHA256:"):
            raise ConfigError(
                f"host_key {pinned!r} is not a fingerprint",
                hint="it begins with SHA256:, as `ssh-keygen -l -f KEY.pub` on the host prints it",
            )
        self._host = host
        self._pinned = pinned.rstrip("=")
        lines = list(_lines_about(host.known_as, host.known_hosts))
        self._revoked = {line.key: line for line in lines if line.marker == _REVOKED}
        self._known = () if pinned else tuple(line for line in lines if not line.marker)

    @property
    def kinds(self) -> frozenset[str]:
        """The types of the keys that are known, as in known_hosts; empty if none or pinned."""
        return frozenset(line.kind for line in self._known)

    @property
    def pinned(self) -> bool:
        """Whether its fingerprint was given by hand."""
        return bool(self._pinned)

    def revokes(self, key: bytes) -> bool:
        """Whether nobody may have this key any more."""
        return key in self._revoked

    def accepts(self, key: bytes) -> bool:
        """Whether a server with this key is the right one."""
        if self.revokes(key):
            return False
        if self._pinned:
            return hmac.compare_digest(fingerprint(key), self._pinned)
        return any(line.key == key for line in self._known)

    def refuse(self, kind: str, key: bytes | None) -> AccessDeniedError:
        """The error for a server that is not accepted.

        Args:
            kind: The type of its key.
            key: ``None`` if it has no key of any type that is known.
        """
        name, shown = self._host.known_as, f"{kind} {fingerprint(key)}" if key else ""
        if key is not None and self.revokes(key):
            return AccessDeniedError(
                f"the host key of {name} is revoked in {self._revoked[key].place}: {shown}",
                code="host-key-revoked",
                hint="the host has to get a new key; do not use it until then",
            )
        if self._pinned:
            return AccessDeniedError(
                f"the host key of {name} is not the one in `host_key`: it is {shown or 'another'},"
                f" and not {self._pinned}",
                code="host-key-changed",
                hint=f"look on the host itself: {_LOOK}; correct `host_key` if it was replaced",
            )
        if self._known:
            places = ", ".join(dict.fromkeys(line.place for line in self._known))
            return AccessDeniedError(
                f"the host key of {name} is not the one in {places}:"
                f" it is {shown or 'of another type'}",
                code="host-key-changed",
                hint="was the host installed anew? If not, somebody may be in between. Compare with"
                f" {_LOOK} on the host, then `ssh-keygen -R {shlex.quote(name)}`",
            )
        return AccessDeniedError(
            f"the host key of {name} is not known: it is {shown}",
            code="host-key-unknown",
            hint=f"`{self._scan()} > new`, compare `ssh-keygen -l -f new` with {_LOOK} on the host,"
            f" and append it to {self._host.known_hosts[0]}",
        )

    def _scan(self) -> str:
        port = "" if self._host.port == _SSH else f"-p {self._host.port} "
        return f"ssh-keyscan {port}{shlex.quote(self._host.address)}"


_SSH = 22
_LOOK = "`ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub`"


def fingerprint(key: bytes) -> str:
    """A key's fingerprint, as ``ssh-keygen -l`` prints it."""
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


def _lines_about(name: str, files: Iterable[Path]) -> Iterator[_Line]:
    for path in files:
        try:
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
        for number, line in enumerate(text.splitlines(), start=1):
            fields = line.split()
            marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
            if len(fields) < _FIELDS or fields[0].startswith("#") or not _names(fields[0], name):
                continue
            try:
                key = base64.b64decode(fields[2], validate=True)
            except binascii.Error:
                continue  # as OpenSSH: a damaged line makes no host known
            yield _Line(f"{path}:{number}", marker, fields[1], key)


def _names(listed: str, name: str) -> bool:
    if listed.startswith("|"):
        return _hashed(listed.split("|"), name)
    return any_fits(listed.lower().split(","), name)


def _hashed(parts: Sequence[str], name: str) -> bool:
    """Whether ``|1|SALT|HASH`` stands for the name."""
    try:
        _, version, salt, wanted = parts
        key, digest = base64.b64decode(salt), base64.b64decode(wanted)
    except ValueError:
        return False
    actual = hmac.new(key, name.encode(), hashlib.sha1).digest()
    return version == "1" and hmac.compare_digest(actual, digest)
