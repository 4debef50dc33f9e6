"""Entries of ``vif`` in a domain configuration file (xl-network-configuration(5))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_dom0.vmcfg.reading import Value

__all__ = ["macs_of"]

_MAC = re.compile(r"(?:^|,)\s*mac=((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\s*(?:,|$)", re.IGNORECASE)


def macs_of(config: Mapping[str, Value]) -> list[str]:
    """The MACs of the cards that have one, in order and in lower case."""
    cards = config.get("vif", ())
    texts = [str(card) for card in cards] if isinstance(cards, tuple) else []
    return [match[1].lower() for text in texts if (match := _MAC.search(text))]
