"""Scripts, POSIX sh: the parts that providers share, and how one is assembled."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SHARED", "assembled"]

SHARED = Path(__file__).parent
"""Where the parts are that know no hypervisor."""


def assembled(folders: tuple[Path, ...], *parts: str) -> str:
    """The text of one script: ``base``, then these parts by the names of their files.

    Args:
        folders: Where parts are; the first that has one gives it.
        parts: The last is what is to be done, the others define functions for it.
    """
    return "\n".join(_text(folders, part) for part in ("base", *parts))


def _text(folders: tuple[Path, ...], part: str) -> str:
    places = [folder / f"{part}.sh" for folder in folders]
    return next(place for place in places if place.exists()).read_text(encoding="utf-8")
