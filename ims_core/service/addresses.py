"""Addresses as the service sees them: what a card is to have, and what was promised to others."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.models import Interface
    from ims_core.service.session import Session

__all__ = ["readdressed", "refuse_promised"]


def readdressed(card: Interface, addresses: Sequence[str]) -> Interface:
    """A card with other addresses; a gateway stays while it is in one of their networks."""
    networks = [ip_interface(each).network for each in addresses if _is_prefixed(each)]
    gateways = tuple(
        each for each in card.gateways if any(ip_address(each) in net for net in networks)
    )
    return replace(card, addresses=tuple(addresses), gateways=gateways)


def _is_prefixed(address: str) -> bool:
    """Whether a text is an address with prefix length; what is not is the provider's to judge."""
    try:
        return "/" in address and bool(ip_interface(address))
    except ValueError:
        return False


def refuse_promised(session: Session, uuid: str, addresses: Sequence[str]) -> None:
    """Refuse an address that another VM of this store is to have at its next start."""
    wanted = {each.partition("/")[0] for each in addresses}
    for other in session.store.intents(session.pool.name) if wanted else ():
        for each in other.context.interfaces:
            taken = wanted & {address.partition("/")[0] for address in each.addresses}
            if taken and other.uuid != uuid:
                raise ConflictError(
                    f"address {min(taken)} is to be that of VM {other.name!r}",
                    code="address-taken",
                    hint="choose another address",
                )
