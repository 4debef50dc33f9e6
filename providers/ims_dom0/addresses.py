"""Addresses of a guest, from everybody in the dom0 who may know them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_core.models import Address

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ims_core.models import Receipt
    from ims_dom0.xenstore import Stored

__all__ = ["addresses_of", "neighbours_in"]

_NEIGHBOUR = re.compile(r"(\S+) dev \S+ (?:.* )?lladdr ([0-9a-f:]{17})(?: .*)? (?!FAILED)[A-Z]+ *")


def addresses_of(
    macs: Sequence[str],
    domid: int,
    stored: Stored,
    neighbours: Collection[Address],
    receipt: Receipt | None,
) -> tuple[Address, ...]:
    """The addresses of a running domain, each with its source; link-local ones are left out.

    Args:
        macs: Of its cards, in order.
        domid: Under which its guest wrote.
        stored: What guests wrote.
        neighbours: Whom dom0 knows.
        receipt: The guest's answer.
    """
    found = [*(receipt.addresses if receipt is not None else ())]
    told = stored.addresses(domid)
    found += [Address(text, macs[card], "xenstore") for card, text in told if card < len(macs)]
    found += neighbours
    return tuple(each for each in found if each.mac in macs and each.is_routable)


def neighbours_in(text: str) -> list[Address]:
    """Who dom0 has lately spoken to over its bridges, out of ``ip neigh show``."""
    matches = (_NEIGHBOUR.fullmatch(line) for line in text.splitlines())
    return [Address(match[1], match[2], "arp") for match in matches if match]
