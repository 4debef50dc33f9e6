"""Addresses as the service sees them: what a card is to have, and what was promised to whom.

A network is known by what the pool's hypervisor calls it, or by its name in ``ims.toml``, under
which several pools may share it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from ims_core.addressing import host_address
from ims_core.errors import ConflictError, InvalidError
from ims_core.store import Reservation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ims_core.models import Interface, Mark
    from ims_core.service.session import Session
    from ims_core.store import Claim

__all__ = [
    "claim_of",
    "claim_of_what_is_free",
    "fill_in",
    "held_by",
    "is_taken",
    "network_key",
    "promised",
    "promises_of",
    "readdressed",
    "release_stale",
    "remember_unknown",
    "reservations",
    "stale",
]

NetworkKey = str | tuple[str, str]


def network_key(session: Session, pool: str, network: str) -> NetworkKey:
    """What two networks have in common that are the same one."""
    configured = session.config.network(pool, network)
    return configured.name if configured else (pool, network)


def readdressed(card: Interface, addresses: Sequence[str]) -> Interface:
    """A card with other addresses; a gateway stays while it is in one of their networks."""
    gateways = _reachable(card.gateways, addresses)
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
        gateways=card.gateways or _reachable(network.gateways, addresses),
        nameservers=card.nameservers or network.nameservers,
    )


def reservations(session: Session, vm: str, cards: Sequence[Interface]) -> list[Reservation]:
    """The addresses of a VM's cards as the store has them.

    Raises:
        InvalidError: What should be an address is none.
    """
    pool = session.pool.name
    found = [
        Reservation(pool, card.network, _bare(each), vm)
        for card in cards
        for each in card.addresses
    ]
    return list(dict.fromkeys(found))


def held_by(session: Session, vm: str) -> list[Reservation]:
    """What a VM has now."""
    return [each for each in session.store.reservations() if each.vm == vm]


def promised(held: Iterable[Reservation]) -> str:
    """Reservations as a mark has them: networks are quoted as in URLs."""
    return " ".join(f"{quote(each.network, safe='')}={each.address}" for each in held)


def promises_of(session: Session, vm: str, mark: Mark) -> list[Reservation]:
    """What a mark says its VM was promised, but what makes no sense: anybody may write marks."""
    found = []
    for promise in mark.addresses.split():
        network, _, address = promise.partition("=")
        with suppress(InvalidError, UnicodeError):
            name = unquote(network, errors="strict")
            name.encode()
            found.append(Reservation(session.pool.name, name, _bare(address), vm))
    return list(dict.fromkeys(found))


def claim_of(session: Session, wanted: Iterable[Reservation]) -> Claim:
    """A claim to exactly these.

    Raises:
        ConflictError: ``address-taken``, from the claim: another VM was promised one.
    """
    wanted = list(dict.fromkeys(wanted))

    def claim(taken: Sequence[Reservation]) -> list[Reservation]:
        holders = _holders(session, taken)
        for each in wanted:
            if (key := _key(session, each)) in holders:
                raise _taken(session, each.address, holders[key])
        return wanted

    return claim


def claim_of_what_is_free(session: Session, wanted: Iterable[Reservation]) -> Claim:
    """A claim to these, without what others have by now."""

    def claim(taken: Sequence[Reservation]) -> list[Reservation]:
        holders = _holders(session, taken)
        return [each for each in wanted if _key(session, each) not in holders]

    return claim


def is_taken(session: Session, wanted: Sequence[Reservation]) -> bool:
    """Whether another VM was promised one of these."""
    vms = {each.vm for each in wanted}
    taken = [each for each in session.store.reservations() if each.vm not in vms]
    try:
        claim_of(session, wanted)(taken)
    except ConflictError:
        return True
    return False


def release_stale(session: Session) -> None:
    """Give back what VMs of this pool have that were removed by other means than IMS.

    What was reserved is read first, then who is at work, then what exists. So whoever reserved
    something before the first look is at work at the second, or has made its VM by the third.
    """
    session.store.release(stale(session))


def stale(session: Session) -> set[str]:
    """The VMs, by UUID, that have addresses in this pool, and that are not there any more."""
    reserved = session.store.reservations()
    busy = {each.vm for each in session.store.operations(unfinished=True)}
    holders = {each.vm for each in reserved if each.pool == session.pool.name} - busy
    return holders - {vm.uuid for vm in session.provider.inspect()} if holders else set()


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
            promises = promises_of(session, vm.uuid, vm.mark)
            session.store.reserve(vm.uuid, claim_of_what_is_free(session, promises))
    session.looked.set()


def _reachable(gateways: Sequence[str], addresses: Sequence[str]) -> tuple[str, ...]:
    """The gateways that are in a network of one of the addresses."""
    networks = [ip_interface(each).network for each in addresses if _is_prefixed(each)]
    return tuple(each for each in gateways if any(ip_address(each) in net for net in networks))


def _key(session: Session, each: Reservation) -> tuple[NetworkKey, str]:
    """What two reservations have in common that cannot both be."""
    return network_key(session, each.pool, each.network), each.address


def _holders(session: Session, taken: Sequence[Reservation]) -> dict[tuple[NetworkKey, str], str]:
    return {_key(session, each): each.vm for each in taken}


def _taken(session: Session, address: str, holder: str) -> ConflictError:
    intent = session.store.intent(holder)
    return ConflictError(
        f"address {address} is that of VM {intent.name if intent else holder!r}",
        code="address-taken",
        hint="choose another address",
    )


def _bare(address: str) -> str:
    """An address without its prefix length, written in the one usual way."""
    try:
        return str(ip_interface(address).ip)
    except ValueError:
        raise InvalidError(
            f"address {address!r} is not an IP address",
            hint="write it as 192.0.2.7 or 192.0.2.7/24",
        ) from None


def _is_prefixed(address: str) -> bool:
    """Whether a text is an address with prefix length; what is not is the provider's to judge."""
    try:
        return "/" in address and bool(ip_interface(address))
    except ValueError:
        return False
