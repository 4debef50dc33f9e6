"""The programs that run inside guests, shipped as data beside this module.

Each is one POSIX shell script, assembled here from parts that only define functions, so that a part
is written once and a script needs no other file in the guest.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["program"]

_PARTS = Path(__file__).with_name("parts")


def program() -> bytes:
    """The guest program ``ims-context``, a POSIX shell script to be installed in a template."""
    return _assembled(
        "head",
        *("base", "medium", "values", "conf", "items"),
        *("network", "plain", "managers", "accounts", "files"),
        *("receipt", "watch", "main"),
    )


@cache
def _assembled(*parts: str) -> bytes:
    return b"\n".join((_PARTS / f"{part}.sh").read_bytes() for part in parts)
