"""SSH keys and secrets: ``securitykeys/`` and ``licensetoken/``.

``SSH.key`` is both keys in one file. OPTIMIS' bootstrap takes its first 27 lines, as many as a PEM
file of RSA with 2048 bits has, for root's private key, and what holds ``ssh-rsa`` for a public one.

Source: OPTIMIS' VM Contextualizer, ``IsoImageCreation`` and its ``bootstrap.sh``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_bootparams.redaction import is_redacted
from ims_bootparams.validation.common import invalid

if TYPE_CHECKING:
    from ims_core.models import Context

__all__ = ["key_files"]

_SSH_KEY = "SSH.key"
_KEYS = (_SSH_KEY, "VPN.key", "BT.key", "DM.key")
_TOKEN = "license.token."  # noqa: S105  (of a file's name)
_LINES = 27
_PRIVATE = re.compile(
    r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----\n([A-Za-z0-9+/=]+\n){25}-----END \1-----\n?"
)
_RSA = re.compile(r"(^|[ \t])ssh-rsa[ \t]")  # options may stand before it


def key_files(context: Context) -> dict[str, bytes]:
    """The files that a context's secrets and SSH keys make.

    Raises:
        InvalidError: A secret has no place, a key is not one that such a guest finds, or the keys
            are another user's than root.
    """
    places = {name: f"securitykeys/{name}" for name in _KEYS}
    tokens = sum(name.startswith(_TOKEN) for name in context.secrets)
    places |= {f"{_TOKEN}{n}": f"licensetoken/{_TOKEN}{n}" for n in range(tokens)}
    for name in context.secrets:
        if name not in places:
            hint = f"Name it {', '.join(_KEYS)}, or {_TOKEN}0, {_TOKEN}1 and so on, without a gap."
            raise invalid(_field(name), "OPTIMIS has no place for a secret of this name", hint)
    files = {places[name]: value.encode() for name, value in context.secrets.items()}
    if _SSH_KEY in context.secrets or context.ssh_keys:
        files[places[_SSH_KEY]] = _ssh_key(context)
    return files


def _ssh_key(context: Context) -> bytes:
    """Both keys; empty lines stand for a private one that there is not."""
    private = context.secrets.get(_SSH_KEY)
    if private is not None and not (is_redacted(private) or _PRIVATE.fullmatch(private)):
        hint = "Give what `ssh-keygen -t rsa -b 2048 -m PEM -N ''` writes."
        raise invalid(_field(_SSH_KEY), f"it is not a private key of {_LINES} lines", hint)
    for index, key in enumerate(context.ssh_keys):
        if not _RSA.search(key):
            hint = "Give one that `ssh-keygen -t rsa` made."
            raise invalid(f"context.ssh_keys[{index}]", "OPTIMIS finds only ssh-rsa keys", hint)
    if context.ssh_keys and context.default_user not in ("", "root"):
        hint = "Leave the keys out, or choose a template without a default user."
        raise invalid("context.default_user", "OPTIMIS gives the SSH keys to root", hint)
    lines = [*(private or "").splitlines(), *[""] * _LINES][:_LINES]
    return "".join(f"{line}\n" for line in (*lines, *context.ssh_keys)).encode()


def _field(secret: str) -> str:
    return f"context.secrets[{secret!r}]"
