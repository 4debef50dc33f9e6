"""Providers with one mistake each, to see whether the conformance suite finds it."""

from __future__ import annotations

from tests.mutants import (
    conduct,
    copying,
    creating,
    hearing,
    holding,
    injecting,
    interrupting,
    life,
    looking,
    overlaid,
    running,
    snapshots,
    telling,
    undoing,
)
from tests.mutants.mutant import Mutant

__all__ = ["MUTANTS", "Mutant"]

MUTANTS: tuple[Mutant, ...] = tuple(
    mutant
    for module in (
        life,
        creating,
        undoing,
        running,
        looking,
        conduct,
        telling,
        overlaid,
        interrupting,
        snapshots,
        copying,
        holding,
        hearing,
        injecting,
    )
    for mutant in module.mutants.found
)
"""In the order of the contract's sections."""
