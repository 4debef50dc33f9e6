"""The scripts for what the Manager cannot do, run in the dom0 of the server pool's master."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ims_dom0.scripts import assembled

__all__ = ["script"]

_HERE = Path(__file__).parent
_PARTS = {"survey": ("networks",)}


@cache
def script(name: str) -> str:
    """The text of a script by its file's name."""
    return assembled(_HERE, "vms", "prelude", *_PARTS.get(name, ()), name)
