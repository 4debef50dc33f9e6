"""Scripts for a dom0, POSIX sh: the parts that providers share, and how one is assembled."""

from __future__ import annotations

from pathlib import Path

__all__ = ["assembled"]

_SHARED = Path(__file__).parent


def assembled(folder: Path, *parts: str) -> str:
    """The text of one script: the shared ``base``, then these parts by the names of their files.

    Args:
        folder: Where a provider's own parts are; one that is not there is a shared one.
        parts: The last is what is to be done, the others define functions for it.
    """
    return "\n".join(_text(folder, part) for part in ("base", *parts))


def _text(folder: Path, part: str) -> str:
    own = folder / f"{part}.sh"
    return (own if own.exists() else _SHARED / own.name).read_text(encoding="utf-8")
