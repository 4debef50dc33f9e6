"""The bridges of a dom0: where cards are plugged in, and what a static address on one needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ims_core.models import Interface

__all__ = ["Bridges"]


@dataclass(frozen=True, slots=True)
class Bridges:
    """Bridges by name, with the addresses that dom0 itself has on each, and its default routes."""

    addresses: dict[str, tuple[IPv4Interface | IPv6Interface, ...]]
    gateways: dict[str, tuple[str, ...]]

    @classmethod
    def surveyed(cls, survey: Mapping[str, bytes]) -> Bridges:
        """Out of the sections that ``scripts/networks.sh`` printed."""
        parts = ("bridges", "addresses", "routes")
        return cls.of(*(survey[part].decode(errors="replace") for part in parts))

    @classmethod
    def of(cls, names: str, addresses: str, routes: str) -> Bridges:
        """Out of what ``ip -o addr`` and ``ip route show default`` printed.

        Args:
            names: One bridge on each line.
            addresses: Lines as ``4: xenbr0    inet 192.0.2.1/24 …``.
            routes: Lines as ``default via 192.0.2.254 dev xenbr0 …``.
        """
        found: dict[str, list[IPv4Interface | IPv6Interface]] = {name: [] for name in names.split()}
        for line in addresses.splitlines():
            words = line.split()
            if len(words) > 3 and words[1] in found and words[2] in ("inet", "inet6"):  # noqa: PLR2004
                address = _interface(words[3])
                if address is not None and not address.ip.is_link_local:
                    found[words[1]].append(address)
        gateways: dict[str, list[str]] = {name: [] for name in found}
        for line in routes.splitlines():
            words = line.split()
            known = words[:2] == ["default", "via"] and words[3:4] == ["dev"] and len(words) > 4  # noqa: PLR2004
            if known and words[4] in found and _interface(words[2]) is not None:
                gateways[words[4]].append(words[2])
        return cls(
            {name: tuple(each) for name, each in found.items()},
            {name: tuple(each) for name, each in gateways.items()},
        )

    def complete(self, card: Interface, default: str) -> Interface:
        """A card with its bridge, and for static addresses prefix and gateways if dom0 has them.

        Raises:
            NotFoundError: ``network-not-found``.
            InvalidError: ``address-outside-network``; an address without a prefix length where
                dom0 knows none.
        """
        card = replace(card, network=card.network or default)
        if card.network not in self.addresses:
            raise NotFoundError(
                f"there is no bridge {card.network!r} in the dom0",
                code="network-not-found",
                hint=f"bridges there: {', '.join(sorted(self.addresses)) or 'none'}",
            )
        if not card.addresses:
            return card
        addresses = tuple(self._with_prefix(each, card.network) for each in card.addresses)
        return replace(
            card,
            addresses=addresses,
            gateways=card.gateways or self._reachable(card.network, addresses),
        )

    def completed(
        self,
        cards: Sequence[Interface],
        default: str,
        others: Iterable[tuple[str, Sequence[Interface]]],
    ) -> tuple[Interface, ...]:
        """Each card as :meth:`complete` returns it, if nobody has their addresses.

        Args:
            cards: As they were ordered.
            default: The bridge of cards that name none.
            others: Names of VMs, each with its cards.
        """
        found = tuple(self.complete(card, default) for card in cards)
        held = {
            address.partition("/")[0]: name
            for name, each in others
            for card in each
            for address in card.addresses
        }
        self.refuse_taken(found, held)
        return found

    def refuse_taken(self, cards: Sequence[Interface], others: Mapping[str, str]) -> None:
        """Refuse addresses that dom0 itself or another VM has.

        Args:
            cards: Completed.
            others: Names of VMs by address, without prefix length.

        Raises:
            ConflictError: ``address-taken``.
        """
        own = {str(each.ip): "dom0 itself" for homes in self.addresses.values() for each in homes}
        held = {**{address: f"VM {name!r}" for address, name in others.items()}, **own}
        for text in (each for card in cards for each in card.addresses):
            if holder := held.get(str(ip_interface(text).ip)):
                raise ConflictError(
                    f"address {text} is taken by {holder}",
                    code="address-taken",
                    hint="choose another, or leave it out for DHCP",
                )

    def _with_prefix(self, text: str, network: str) -> str:
        if "/" in text:
            return text
        address = ip_address(text)
        for home in self.addresses[network]:
            if address in home.network:
                return f"{address}/{home.network.prefixlen}"
        known = ", ".join(str(home.network) for home in self.addresses[network])
        raise InvalidError(
            f"address {text} is outside what dom0 knows of bridge {network!r}:"
            f" {known or 'nothing'}",
            code="address-outside-network",
            hint="give it with its prefix length, as 192.0.2.10/24, or describe the network in"
            " ims.toml",
        )

    def _reachable(self, network: str, addresses: Sequence[str]) -> tuple[str, ...]:
        """The gateways that can be reached from these addresses: the first of each IP version."""
        nets = [ip_interface(each).network for each in addresses]
        found: dict[int, str] = {}
        for gateway in self.gateways[network]:
            address = ip_address(gateway)
            if any(address in net for net in nets):
                found.setdefault(address.version, gateway)
        return tuple(found.values())


def _interface(text: str) -> IPv4Interface | IPv6Interface | None:
    """An address as ``ip`` printed it; None if it is none."""
    try:
        return ip_interface(text)
    except ValueError:
        return None
