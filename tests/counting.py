"""Counting what is asked of a hypervisor: each call of these methods is one round trip."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    import pytest

__all__ = ["counted"]


def counted(monkeypatch: pytest.MonkeyPatch, methods: Collection[str], *classes: type) -> list[str]:
    """The name of the method for each call of these, from now on."""
    calls: list[str] = []
    for cls, method in product(classes, methods):
        original = getattr(cls, method, None)
        if original is None:  # not in this version of the library
            continue

        def call(
            self: Any, *args: Any, _original: Any = original, _name: str = method, **words: Any
        ) -> Any:
            calls.append(_name)
            return _original(self, *args, **words)

        monkeypatch.setattr(cls, method, call)
    return calls
