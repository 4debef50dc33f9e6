"""Scripts for a dom0, POSIX sh: the parts that its providers share, and how one is assembled."""

from __future__ import annotations

from pathlib import Path

from ims_shell import scripts

__all__ = ["assembled"]


def assembled(folder: Path, *parts: str) -> str:
    """The text of one script out of a provider's own parts and those that are shared."""
    return scripts.assembled((folder, Path(__file__).parent, scripts.SHARED), *parts)
