"""Checks of SSH keys: those of users, and those of the guest's own server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_bootparams.validation.common import check_text, check_unique, invalid

if TYPE_CHECKING:
    from ims_core.models import HostKey

__all__ = ["check_host_keys", "check_ssh_keys", "is_public_key"]

# The type and the beginning of the key itself, with or without options before them (sshd(8),
# "AUTHORIZED_KEYS FILE FORMAT"). A key begins with the length of its type's name: AAAA in Base64.
_PUBLIC_LINE = re.compile(r"([^#\s].*\s)?(ssh-|ecdsa-sha2-|sk-)[a-z0-9@.-]+\s+AAAA.*")
_HOST_KEY_TYPES = ("ed25519", "ecdsa", "rsa")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN ([A-Z ]{0,30}PRIVATE KEY)-----\n[A-Za-z0-9+/=\n]{64,20000}-----END \1-----\n?"
)
_PUBLIC_KEY = {
    kind: re.compile(rf"{prefix} AAAA[A-Za-z0-9+/]{{16,4000}}={{0,2}}( [^\x00-\x1f\x7f]{{0,200}})?")
    for kind, prefix in zip(
        _HOST_KEY_TYPES, ("ssh-ed25519", r"ecdsa-sha2-nistp(256|384|521)", "ssh-rsa"), strict=True
    )
}


def is_public_key(line: str) -> bool:
    """Whether it is a line of a ``.pub`` or an ``authorized_keys`` file, with a key in it."""
    return _PUBLIC_LINE.fullmatch(line.strip()) is not None


def check_ssh_keys(field: str, keys: tuple[str, ...]) -> None:
    """Refuse what no ``authorized_keys`` could hold, or what lets nobody in."""
    for index, key in enumerate(keys):
        name = f"{field}[{index}]"
        check_text(name, key)
        if not key.strip():
            raise invalid(name, "it is empty", "Remove it, or give one line of a .pub file.")
        if len(key.splitlines()) != 1 or any(ord(c) < ord(" ") and c != "\t" for c in key):
            raise invalid(name, "it is not one line", "Give each key as a line of its own.")
        if not is_public_key(key):
            raise invalid(name, "it is not a public key", "Give one line of a .pub file.")


def check_host_keys(keys: tuple[HostKey, ...]) -> None:
    """Refuse what sshd would not start with."""
    for index, key in enumerate(keys):
        field = f"context.host_keys[{index}]"
        if key.type not in _HOST_KEY_TYPES:
            hint = f"Use one of {', '.join(_HOST_KEY_TYPES)}."
            raise invalid(f"{field}.type", f"{key.type!r} is not known", hint)
        if not _PRIVATE_KEY.fullmatch(key.private):
            hint = "Give what `ssh-keygen -N ''` writes: from -----BEGIN to -----END."
            raise invalid(f"{field}.private", "it is not a private key in text form", hint)
        if not _PUBLIC_KEY[key.type].fullmatch(key.public):
            hint = "Give the line of the .pub file beside it."
            raise invalid(f"{field}.public", f"it is no public key of type {key.type}", hint)
    check_unique("context.host_keys[{}].type", (key.type for key in keys), "Keep one of them.")
