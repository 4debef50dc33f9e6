"""The networks of a VirtualBox host: what a static address on one needs, and whose it can be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, InvalidError, NotFoundError
from ims_virtualbox.vboxmanage.listing import paragraphs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ims_core.models import Interface
    from ims_virtualbox.host import VirtualBoxHost

__all__ = ["NAT", "Networks", "subnet_of"]

NAT = "nat"
MOST_CARDS = 8
_LISTS = {
    "bridged": ("bridgedifs", "Name"),
    "hostonly": ("hostonlyifs", "Name"),
    "hostonlynet": ("hostonlynets", "Name"),
    "natnetwork": ("natnetworks", "Name"),
}
_NAT_HOSTS = {2: "the gateway", 3: "the name server", 4: "the TFTP server"}
_NAT_PREFIXES = range(8, 29)


@dataclass(frozen=True, slots=True)
class Networks:
    """What VirtualBox says of the networks that were asked for: the host's own address on each."""

    known: dict[str, IPv4Interface | None]

    @classmethod
    def asked(cls, host: VirtualBoxHost, names: Iterable[str]) -> Networks:
        """Ask for these networks: nothing for ``nat`` and ``intnet``, once for each other kind."""
        known: dict[str, IPv4Interface | None] = {}
        for kind in sorted({name.partition(":")[0] for name in names} & set(_LISTS)):
            command, word = _LISTS[kind]
            for each in paragraphs(host.manage("list", command, subject="networks")):
                if word in each:
                    known[f"{kind}:{each[word]}"] = _home(each)
        return cls(known)

    def completed(
        self, cards: Sequence[Interface], default: str, others: dict[str, str]
    ) -> tuple[Interface, ...]:
        """Each card with its network, and what its static addresses need.

        Args:
            cards: As they were ordered.
            default: The network of cards that name none.
            others: Names of VMs by ``network=address``.

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
        for card in found:
            for text in card.addresses:
                key = f"{card.network}={ip_interface(text).ip}"
                if card.network != NAT and key in others:
                    raise _taken(text, f"VM {others[key]!r}")
        return found

    def _complete(self, card: Interface, slot: int) -> Interface:
        kind, _, name = card.network.partition(":")
        if card.network == NAT:
            return _behind_nat(card, slot)
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


def subnet_of(card: Interface, slot: int) -> str:
    """The subnet that VirtualBox's NAT must serve for a card; empty for its own choice."""
    nets = [ip_interface(each).network for each in card.addresses]
    own = _default_subnet(slot)
    chosen = next((net for net in nets if isinstance(net, IPv4Network) and net != own), None)
    return str(chosen) if card.network == NAT and chosen is not None else ""


def _behind_nat(card: Interface, slot: int) -> Interface:
    """NAT is each card's own: VirtualBox serves whatever subnet it is told to."""
    own = _default_subnet(slot)
    addresses = tuple(_with_prefix(each, own) for each in card.addresses)
    homes = [each for each in map(ip_interface, addresses) if isinstance(each, IPv4Interface)]
    if not homes:
        return replace(card, addresses=addresses)
    net = homes[0].network
    if any(each.network != net for each in homes) or net.prefixlen not in _NAT_PREFIXES:
        raise InvalidError(
            f"addresses {', '.join(map(str, homes))}: VirtualBox's NAT serves one IPv4 network of"
            f" /{_NAT_PREFIXES[0]} to /{_NAT_PREFIXES[-1]} for each card",
            code="address-outside-network",
            hint="give addresses of one such network",
        )
    for each in homes:
        number = int(each.ip) - int(net.network_address)
        if number in _NAT_HOSTS:
            raise _taken(str(each), f"{_NAT_HOSTS[number]} of VirtualBox's NAT")
    return replace(
        card,
        addresses=addresses,
        gateways=card.gateways or (str(net.network_address + 2),),
        nameservers=card.nameservers or (str(net.network_address + 3),),
    )


def _default_subnet(slot: int) -> IPv4Network:
    return IPv4Network((IPv4Address("10.0.2.0") + 256 * slot, 24))


def _with_prefix(text: str, net: IPv4Network) -> str:
    if "/" in text:
        return text
    address = ip_address(text)
    if address in net:
        return f"{address}/{net.prefixlen}"
    raise _outside(text, NAT, str(net))


def _within(text: str, network: str, home: IPv4Interface | None) -> str:
    """An address with its prefix length, if it is one of the network's, as far as that is known."""
    address = ip_interface(text).ip
    if home is not None and isinstance(address, IPv4Address):
        if address == home.ip:
            raise _taken(text, "the VirtualBox host itself")
        if address in home.network:
            return text if "/" in text else f"{address}/{home.network.prefixlen}"
    if "/" not in text:
        raise _outside(text, network, str(home.network) if home else "nothing")
    return text


def _outside(text: str, network: str, known: str) -> InvalidError:
    return InvalidError(
        f"address {text} is outside what VirtualBox knows of network {network!r}: {known}",
        code="address-outside-network",
        hint="give it with its prefix length, as 192.0.2.10/24",
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
    return f"{told.get('Gateway', '').strip()}/{net.partition('/')[2].strip()}"
