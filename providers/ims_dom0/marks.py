"""The small JSON files that lie beside a VM in a dom0: its mark and its cards."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from ims_core.models import Interface, Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["card_of", "cards_json", "cards_of", "mark_json", "mark_of"]


def cards_json(cards: Sequence[Interface]) -> bytes:
    """The cards as they are kept beside a VM."""
    return json.dumps([asdict(card) for card in cards], indent=1).encode()


def cards_of(content: bytes) -> tuple[Interface, ...]:
    """The cards that are kept beside a VM; none where that cannot be read."""
    try:
        return tuple(card_of(each) for each in json.loads(content))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ()


def card_of(told: dict[str, Any]) -> Interface:
    """A card out of plain data.

    Raises:
        TypeError, AttributeError: It is none.
    """
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in told.items()
    }
    card, plain = Interface(**values), Interface()
    for each in fields(Interface):
        value, like = getattr(card, each.name), getattr(plain, each.name)
        if type(value) is not type(like) or any(type(part) is not str for part in value):
            raise TypeError(each.name)
    return card


def mark_json(name: str, mark: Mark) -> bytes:
    """The mark as a VM's folder holds it, with the name of the folder that it belongs to."""
    return json.dumps({"name": name, **asdict(mark)}, indent=1).encode()


def mark_of(content: bytes, name: str) -> Mark | None:
    """The mark in a folder of that name; None if it is none, or was copied from another folder."""
    try:
        values = json.loads(content)
        return Mark.from_dict(values) if values.get("name") == name else None
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None
