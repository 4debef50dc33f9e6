"""A context that can be shown: the same in shape, without what may be secret."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ims_core.models import Context

__all__ = ["is_redacted", "redacted"]

_TEXT = "(redacted)"
_SIZE = re.compile(rb"\(redacted, [0-9]+ bytes\)\n")
_HASH = "$6$redacted$" + "redacted" * 4  # in the form that a hash has, so that it can be rendered
_PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\n" + "redacted" * 8 + "\n-----END PRIVATE KEY-----\n"


def redacted(context: Context) -> Context:
    """The context with a word in place of each part that may be a secret.

    These are the values of secrets, password hashes, the SSH server's private keys, the contents
    of files and scripts, and raw user data. It can be rendered as the whole context can.
    """
    return replace(
        context,
        users=tuple(
            replace(user, password_hash=_HASH if user.password_hash else "")
            for user in context.users
        ),
        host_keys=tuple(replace(key, private=_PRIVATE_KEY) for key in context.host_keys),
        secrets=dict.fromkeys(context.secrets, _TEXT),
        files=tuple(replace(file, content=_size(file.content)) for file in context.files),
        scripts=tuple(replace(each, content=_size(each.content)) for each in context.scripts),
        user_data=None if context.user_data is None else _size(context.user_data),
    )


def is_redacted(value: str | bytes) -> bool:
    """Whether it is the word in place of a secret, or of a content: no format asks more of it."""
    return value == _TEXT if isinstance(value, str) else _SIZE.fullmatch(value) is not None


def _size(content: bytes) -> bytes:
    return f"(redacted, {len(content)} bytes)\n".encode()
