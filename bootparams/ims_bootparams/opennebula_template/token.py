"""``token.txt``: by what OneGate knows a VM.

It is ``<VM id>:<start time>``, encrypted by AES-256 in CBC mode without an initial vector, in
base64. The key is the first 32 bytes of the owner's ``TOKEN_PASSWORD``, as they are.

Source: OpenNebula's ``VirtualMachineContext.cc`` and ``NebulaUtil.cc``.
"""

from __future__ import annotations

import base64

from ims_core.errors import InvalidError, UnsupportedError

__all__ = ["TOKEN_FILE", "token_txt"]

TOKEN_FILE = "token.txt"  # noqa: S105 - its name
"""On the medium."""

_KEY = 32
_BLOCK = 16


def token_txt(vmid: int, start_time: int, token_password: str) -> bytes:
    """The content of :data:`TOKEN_FILE`.

    Args:
        vmid: The VM's number.
        start_time: When it was made, in seconds since the epoch.
        token_password: The owner's ``TOKEN_PASSWORD``.

    Raises:
        InvalidError: The password is too short to be a key.
        UnsupportedError: The package cryptography is not installed.
    """
    key = token_password.encode()[:_KEY]
    if len(key) < _KEY:
        hint = "Use OpenNebula's own, 64 hex digits: `oneuser show` has it."
        raise InvalidError(f"token_password: it has less than {_KEY} bytes", hint=hint)
    try:
        from cryptography.hazmat.primitives.ciphers import (  # noqa: PLC0415 - seldom needed
            Cipher,
            algorithms,
            modes,
        )
    except ImportError:
        hint = "Install the Python package cryptography, or remove TOKEN from the template."
        raise UnsupportedError("no token can be made here", hint=hint) from None
    text = f"{vmid}:{start_time}".encode()
    missing = _BLOCK - len(text) % _BLOCK
    text += bytes([missing]) * missing  # PKCS #7
    encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(_BLOCK))).encryptor()
    return base64.b64encode(encryptor.update(text) + encryptor.finalize()) + b"\n"
