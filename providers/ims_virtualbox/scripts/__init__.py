"""Scripts for what VBoxManage cannot do: files beside the machines, and locks around its calls."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ims_shell.scripts import SHARED, assembled

__all__ = ["script"]

_HERE = Path(__file__).parent


@cache
def script(name: str) -> str:
    """The text of a script by its file's name."""
    return assembled((_HERE, SHARED), "prelude", name)
