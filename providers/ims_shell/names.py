"""What is called alike by every provider."""

from __future__ import annotations

__all__ = ["making"]


def making(name: str, operation: str) -> str:
    """The folder of a VM or a template that is not whole yet."""
    return f"{name}-{operation}"
