"""The networks of a VirtualBox host: what a static address on one needs, and whose it can be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    ip_interface,
)
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, InvalidError, NotFoundError
from ims_virtualbox.vboxmanage.listing import paragraphs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ims_core.models import Interface
    from ims_virtualbox.host import VirtualBoxHost

__all__ = ["NAT", "Networks", "promises"]

NAT = "nat"
MOST_CARDS = 8
_LISTS = {
    "bridged": ("bridgedifs", ("Name",)),
    "hostonly": ("hostonlyifs", ("Name",)),
    "hostonlynet": ("hostonlynets", ("Name",)),
    "natnetwork": ("natnetworks", ("Name", "NetworkName")),  # the other is that of 6.1
}
_SECOND = IPv4Address("10.0.3.0")


@dataclass(frozen=True, slots=True)
class Networks:
    """What VirtualBox says of the networks that were asked for.

    Attributes:
        known: The host's own address on each.
        subnet: What NAT serves for the first card of each VM.
    """

    known: dict[str, IPv4Interface | None]
    subnet: IPv4Network

    @classmethod
    def asked(cls, host: VirtualBoxHost, names: Iterable[str], subnet: str) -> Networks:
        """Ask for these networks: nothing for ``nat`` and ``intnet``, once for each other kind."""
        known: dict[str, IPv4Interface | None] = {}
        for kind in sorted({name.partition(":")[0] for name in names} & set(_LISTS)):
            command, words = _LISTS[kind]
            for each in paragraphs(host.manage("list", command, subject="networks")):
                for word in words:
                    if word in each:
                        known[f"{kind}:{each[word]}"] = _home(each)
        return cls(known, IPv4Network(subnet))

    def completed(
        self, cards: Sequence[Interface], default: str, others: dict[str, str]
    ) -> tuple[Interface, ...]:
        """Each card with its network, and what its static addresses need.

        Args:
            cards: As they were ordered.
            default: The network of cards that name none.
            others: Names of VMs by what they were promised; see :func:`promises`.

        Raises:
            NotFoundError: ``network-not-found``.
            InvalidError: ``address-outside-network``, or more cards than there can be.
            ConflictError: ``address-taken``.
        """
        if len(cards) > MOST_CARDS:
            raise InvalidError(
                f"{len(cards)} network cards were ordered", hint=f"there can be {MOST_CARDS}"
            )
        found = tuple(
            self._complete(replace(card, network=card.network or default), slot)
            for slot, card in enumerate(cards)
        )
        for promise in promises(found):
            if promise in others:
                raise _taken(promise.partition("=")[2], f"VM {others[promise]!r}")
        return found

    def _complete(self, card: Interface, slot: int) -> Interface:
        kind, _, name = card.network.partition(":")
        if card.network == NAT:
            return _behind_nat(card, _nat_subnet(self.subnet, slot))
        if kind not in {*_LISTS, "intnet"} or not name:
            raise NotFoundError(
                f"there is no network {card.network!r}",
                code="network-not-found",
                hint="`ims show-provider virtualbox` tells how networks are named",
            )
        if kind != "intnet" and card.network not in self.known:
            names = [each for each in self.known if each.startswith(f"{kind}:")]
            raise NotFoundError(
                f"VirtualBox has no network {card.network!r}",
                code="network-not-found",
                hint=f"it has: {', '.join(sorted(names)) or 'none of that kind'}",
            )
        home = self.known.get(card.network)
        return replace(
            card, addresses=tuple(_within(each, card.network, home) for each in card.addresses)
        )


def promises(cards: Iterable[Interface]) -> list[str]:
    """The static addresses of cards, as ``network=address``."""
    return [f"{card.network}={ip_interface(text).ip}" for card in cards for text in card.addresses]


def _behind_nat(card: Interface, net: IPv4Network) -> Interface:
    """A card behind NAT, whose hosts VirtualBox itself plays."""
    addresses = tuple(
        _within(each, NAT, IPv4Interface((net[2], net.prefixlen))) for each in card.addresses
    )
    homes = [each for each in map(ip_interface, addresses) if isinstance(each, IPv4Interface)]
    for each in homes:
        if each.network != net:
            raise _outside(str(each), NAT, str(net))
        if each.ip in (net[3], net[4]):
            raise _taken(str(each), "VirtualBox's own servers behind NAT")
    if not homes:
        return replace(card, addresses=addresses)
    return replace(
        card,
        addresses=addresses,
        gateways=card.gateways or (str(net[2]),),
        nameservers=card.nameservers or (str(net[3]),),
    )


def _nat_subnet(first: IPv4Network, slot: int) -> IPv4Network:
    """What NAT serves for a card; VirtualBox's own choice for all but the first."""
    return first if slot == 0 else IPv4Network((_SECOND + 256 * (slot - 1), 24))


def _within(text: str, network: str, home: IPv4Interface | None) -> str:
    """An address with its prefix length, if it is one of the network's, as far as that is known."""
    address = ip_interface(text).ip
    if home is not None and isinstance(address, IPv4Address):
        if address == home.ip:
            raise _taken(text, "the VirtualBox host itself")
        if address in home.network:
            return text if "/" in text else f"{address}/{home.network.prefixlen}"
    if "/" not in text or (isinstance(address, IPv4Address) and home and _is_whole(network)):
        raise _outside(text, network, str(home.network) if home else "nothing")
    return text


def _is_whole(network: str) -> bool:
    """Whether all of a network is VirtualBox's own, so that no other subnet can be on it."""
    return network.partition(":")[0] in (NAT, "hostonly", "natnetwork")


def _outside(text: str, network: str, known: str) -> InvalidError:
    return InvalidError(
        f"address {text} is outside what VirtualBox knows of network {network!r}: {known}",
        code="address-outside-network",
        hint="give one of that network, or with its prefix length, as 192.0.2.10/24, where nothing"
        " is known",
    )


def _taken(text: str, holder: str) -> ConflictError:
    return ConflictError(
        f"address {text} is taken by {holder}",
        code="address-taken",
        hint="choose another, or leave it out for DHCP",
    )


def _home(told: dict[str, str]) -> IPv4Interface | None:
    """The host's own address, of an interface or (a NAT network) as its gateway."""
    text = f"{told.get('IPAddress', '')}/{told.get('NetworkMask', '')}"
    for candidate in (text, _nat_gateway(told)):
        try:
            home: IPv4Interface | IPv6Interface = ip_interface(candidate)
        except ValueError:
            continue
        if isinstance(home, IPv4Interface) and int(home.ip):
            return home
    return None


def _nat_gateway(told: dict[str, str]) -> str:
    net = told.get("Network", told.get("NetworkAddress", ""))
    gateway = told.get("Gateway", told.get("IP", ""))
    return f"{gateway.strip()}/{net.partition('/')[2].strip()}"
