"""The static card: what ``ovf-env.xml`` tells of it.

OPTIMIS' guests take their address from the MAC of their card, or by DHCP, unless there is that
file. It does not name a card, so it is the first one's.

Source: OPTIMIS' VM Contextualizer, its guests' ``context_network``.
"""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import TYPE_CHECKING

from ims_bootparams.validation.common import invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.errors import InvalidError
    from ims_core.models import Interface

__all__ = ["network"]

_MAX_NAMESERVERS = 2  # dns1 and dns2


def network(cards: Sequence[Interface]) -> dict[str, str]:
    """The values ``ip``, ``mask``, ``gw``, ``dns1`` and ``dns2``; none where DHCP tells them.

    Raises:
        InvalidError: A card has something that cannot be told this way.
    """
    for index, card in enumerate(cards):
        _check_card(f"context.interfaces[{index}]", card, first=index == 0)
    if not cards or not cards[0].addresses:
        return {}
    card = cards[0]
    address = IPv4Interface(card.addresses[0])
    values = {"ip": str(address.ip), "mask": str(address.netmask)}
    if card.gateways:
        values["gw"] = card.gateways[0]
    return values | {f"dns{n}": server for n, server in enumerate(card.nameservers, 1)}


def _check_card(field: str, card: Interface, *, first: bool) -> None:
    if card.addresses and not first:
        raise _refused(f"{field}.addresses", "it tells the first card's address alone")
    if len(card.addresses) > 1:
        raise _refused(f"{field}.addresses[1]", "it tells one address")
    for name in ("addresses", "nameservers"):
        for index, text in enumerate(getattr(card, name)):
            if ":" in text:
                raise _refused(f"{field}.{name}[{index}]", "it tells IPv4 alone")
    if card.nameservers and not card.addresses:
        raise _refused(f"{field}.nameservers", "it tells a card with DHCP nothing")
    if len(card.nameservers) > _MAX_NAMESERVERS:
        raise _refused(f"{field}.nameservers[{_MAX_NAMESERVERS}]", "it tells two")
    if card.search:
        raise _refused(f"{field}.search", "it tells no search domains")


def _refused(field: str, problem: str) -> InvalidError:
    hint = "Leave it out, or choose another layout; docs/context.md tells what each carries."
    return invalid(field, f"the layout optimis cannot carry this, {problem}", hint)
