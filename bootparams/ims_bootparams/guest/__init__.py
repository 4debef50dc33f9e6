"""The program that runs inside the guest, shipped as data beside this module."""

from __future__ import annotations

from pathlib import Path

__all__ = ["program"]


def program() -> bytes:
    """The guest program ``ims-context``, a POSIX shell script to be installed in a template."""
    return Path(__file__).with_name("ims-context").read_bytes()
