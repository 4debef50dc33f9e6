"""The scripts by which a VM of Xen is made, run and looked at."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ims_dom0.scripts import assembled

__all__ = ["script"]

_HERE = Path(__file__).parent
_PARTS = {
    "survey": ("networks",),
    **dict.fromkeys(("start", "resume", "update"), ("put_keys",)),
    **dict.fromkeys(("delete", "delete_template", "discard"), ("remove",)),
}


@cache
def script(name: str) -> str:
    """The text of a script by its file's name."""
    text = assembled(_HERE, "vms", "prelude", *_PARTS.get(name, ()), name)
    return text.replace("@PUT_KEYS@", (_HERE / "put_keys.py").read_text(encoding="utf-8"))
