"""The scripts that run in a dom0, POSIX sh, each assembled with the parts it needs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["script"]

_HERE = Path(__file__).parent
_PARTS = {
    **dict.fromkeys(("start", "resume", "update"), ("put_keys",)),
    **dict.fromkeys(("delete", "delete_template", "discard"), ("remove",)),
}


@cache
def script(name: str) -> str:
    """The text of a script by its file's name."""
    parts = [_text(f"{part}.sh") for part in ("prelude", *_PARTS.get(name, ()), name)]
    return "\n".join(parts).replace("@PUT_KEYS@", _text("put_keys.py"))


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
