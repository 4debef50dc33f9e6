"""What a name may look like, and names made up for those who gave none.

One pattern for VMs, pools and templates. A name that fits it is safe as a file name, as an XML
text, as an argument (it cannot begin with a dash) and as a host name (RFC 1123, section 2.1).
"""

from __future__ import annotations

import re

from ims_core.errors import InvalidError

__all__ = ["NAME", "check_name", "make_up_name"]

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
NAME = re.compile(
    r"(?=.{1,63}\Z)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)

# No digits or letters that are easily confused when a name is read out.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def check_name(field: str, value: str) -> str:
    """Return the name, or raise an error that names the field.

    Raises:
        InvalidError: ``invalid-name``.
    """
    if NAME.fullmatch(value) and not _UUID.fullmatch(value):
        return value
    raise InvalidError(
        f"{field} {value!r} is not a valid name",
        code="invalid-name",
        hint="use 1 to 63 letters, digits, dots and dashes, beginning and ending with a letter or"
        " digit, and not the form of a UUID",
    )


def make_up_name(prefix: str = "vm") -> str:
    """A short name that is most likely free: 31^6 of them."""
    import secrets  # noqa: PLC0415 - it loads OpenSSL, and most commands are given a name

    return f"{prefix}-{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"
