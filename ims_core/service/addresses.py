"""Addresses as the service sees them: what a card is to have, and what was promised to whom.

A network is known by what the pool's hypervisor calls it, or by its name in ``ims.toml``, under
which several pools may share it.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING

from ims_core.addressing import host_address
from ims_core.errors import ConflictError
from ims_core.store import Reservation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.config import Network
    from ims_core.models import Interface, Mark
    from ims_core.service.session import Session
    from ims_core.store import Claim

__all__ = [
    "fill_in",
    "network_key",
    "promised",
    "promised_by",
    "readdressed",
    "remember_unknown",
    "reservations",
    "static_claim",
]

NetworkKey = str | tuple[str, str]


def network_key(session: Session, pool: str, network: str) -> NetworkKey:
    """What two networks have in common that are the same one."""
    configured = session.config.network(pool, network)
    return configured.name if configured else (pool, network)


def readdressed(card: Interface, addresses: Sequence[str]) -> Interface:
    """A card with other addresses; a gateway stays while it is in one of their networks."""
    networks = [ip_interface(each).network for each in addresses if _is_prefixed(each)]
    gateways = tuple(
        each for each in card.gateways if any(ip_address(each) in net for net in networks)
    )
    return replace(card, addresses=tuple(addresses), gateways=gateways)


def fill_in(session: Session, card: Interface) -> Interface:
    """A card with what ``ims.toml`` knows of its network: prefix length, gateways, name servers.

    Raises:
        InvalidError: ``address-outside-network``.
    """
    network = session.config.network(session.pool.name, card.network)
    if network is None or not card.addresses:
        return card
    addresses = [
        each if _is_prefixed(each) else host_address(network, each) for each in card.addresses
    ]
    return replace(
        card,
        addresses=tuple(addresses),
        gateways=card.gateways or _gateways(network, addresses),
        nameservers=card.nameservers or network.nameservers,
    )


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
        holders = _holders(session, taken)
        wanted = reservations(session, vm, cards)
        for each in wanted:
            key = (network_key(session, each.pool, each.network), each.address)
            if key in holders:
                raise _taken(session, each.address, holders[key])
        return wanted

    return claim


def promised_by(session: Session, mark: Mark) -> Claim:
    """A claim to what a mark says its VM was promised, without what others have by now."""

    def claim(taken: Sequence[Reservation]) -> list[Reservation]:
        holders = _holders(session, taken)
        wanted = []
        for promise in mark.addresses.split():
            network, _, address = promise.rpartition("=")
            if (network_key(session, session.pool.name, network), address) not in holders:
                wanted.append(Reservation(session.pool.name, network, address, mark.vm))
        return list(dict.fromkeys(wanted))

    return claim


def remember_unknown(session: Session) -> None:
    """Reserve what the marks of VMs say that this store does not know; once for each session.

    The store was lost since they were made, or another one made them.
    """
    if session.looked.is_set():
        return
    known = session.store.marks(session.pool.name)
    holding = {each.vm for each in session.store.reservations()}
    for vm in session.provider.inspect(known=known):
        if vm.mark is not None and vm.mark.addresses and vm.uuid not in holding | set(known):
            session.store.reserve(vm.uuid, promised_by(session, vm.mark))
    session.looked.set()


def _gateways(network: Network, addresses: Sequence[str]) -> tuple[str, ...]:
    """Those of the network's gateways that these addresses can reach."""
    subnets = [ip_network(ip_interface(each).network) for each in addresses]
    return tuple(
        each for each in network.gateways if any(ip_address(each) in net for net in subnets)
    )


def _holders(session: Session, taken: Sequence[Reservation]) -> dict[tuple[NetworkKey, str], str]:
    return {
        (network_key(session, each.pool, each.network), each.address): each.vm for each in taken
    }


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
