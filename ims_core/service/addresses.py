"""Addresses as the service sees them: what a card is to have, and what was promised to whom."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError
from ims_core.store import Reservation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.models import Interface, Mark
    from ims_core.service.session import Session
    from ims_core.store import Claim

__all__ = ["promised", "promised_by", "readdressed", "static_claim"]


def readdressed(card: Interface, addresses: Sequence[str]) -> Interface:
    """A card with other addresses; a gateway stays while it is in one of their networks."""
    networks = [ip_interface(each).network for each in addresses if _is_prefixed(each)]
    gateways = tuple(
        each for each in card.gateways if any(ip_address(each) in net for net in networks)
    )
    return replace(card, addresses=tuple(addresses), gateways=gateways)


def promised(cards: Sequence[Interface]) -> str:
    """The addresses of cards, as a mark has them."""
    return " ".join(f"{card.network}={_bare(each)}" for card in cards for each in card.addresses)


def reservations(session: Session, vm: str, cards: Sequence[Interface]) -> list[Reservation]:
    """The addresses of a VM's cards as the store has them."""
    pool = session.pool.name
    found = [
        Reservation(pool, card.network, _bare(each), vm)
        for card in cards
        for each in card.addresses
    ]
    return list(dict.fromkeys(found))


def static_claim(session: Session, vm: str, cards: Sequence[Interface]) -> Claim:
    """A claim to exactly the addresses that these cards have.

    Raises:
        ConflictError: ``address-taken``, from the claim: another VM was promised one.
    """

    def claim(taken: Sequence[Reservation]) -> list[Reservation]:
        wanted = reservations(session, vm, cards)
        holders = {(each.pool, each.network, each.address): each.vm for each in taken}
        for each in wanted:
            if holder := holders.get((each.pool, each.network, each.address)):
                raise _taken(session, each.address, holder)
        return wanted

    return claim


def promised_by(session: Session, mark: Mark) -> Claim:
    """A claim to what a mark says its VM was promised, without what others have by now."""

    def claim(taken: Sequence[Reservation]) -> list[Reservation]:
        others = {(each.pool, each.network, each.address) for each in taken}
        wanted = []
        for promise in mark.addresses.split():
            network, _, address = promise.rpartition("=")
            key = (session.pool.name, network, address)
            if key not in others:
                wanted.append(Reservation(*key, mark.vm))
        return list(dict.fromkeys(wanted))

    return claim


def _taken(session: Session, address: str, holder: str) -> ConflictError:
    intent = session.store.intent(holder)
    return ConflictError(
        f"address {address} is that of VM {intent.name if intent else holder!r}",
        code="address-taken",
        hint="choose another address",
    )


def _bare(address: str) -> str:
    """An address without its prefix length, written in the one usual way."""
    return str(ip_interface(address).ip)


def _is_prefixed(address: str) -> bool:
    """Whether a text is an address with prefix length; what is not is the provider's to judge."""
    try:
        return "/" in address and bool(ip_interface(address))
    except ValueError:
        return False
