"""The pool's one network: its subnet, its DHCP server, and who has which address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_interface, ip_network
from itertools import islice
from typing import TYPE_CHECKING

from ims_core.errors import CapacityError, ConflictError, InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ims_core.models import Interface
    from ims_fake.domain import Domain

__all__ = ["NAME", "Network", "holders"]

NAME = "fake"


def holders(domains: Iterable[Domain], *, without: str = "") -> dict[str, str]:
    """The VM that holds each address, be it static or leased."""
    found = {}
    for domain in domains:
        if domain.uuid != without:
            static = (address for card in domain.interfaces for address in card.addresses)
            for address in (*static, *domain.leases.values()):
                found[address.partition("/")[0]] = domain.name
    return found


@dataclass(frozen=True, slots=True)
class Network:
    """A subnet whose first address is its gateway and name server."""

    subnet: str

    @property
    def gateway(self) -> str:
        """The first address."""
        return str(next(iter(ip_network(self.subnet).hosts())))

    def complete(
        self, cards: Sequence[Interface], taken: Mapping[str, str]
    ) -> tuple[Interface, ...]:
        """Check cards and fill in what the network knows.

        Args:
            cards: As they were asked for.
            taken: Who holds each address; see :func:`holders`.

        Raises:
            NotFoundError: ``network-not-found``.
            InvalidError: An address that is none, or lies outside the subnet.
            ConflictError: ``address-taken``.
        """
        taken = dict(taken)
        return tuple(
            self._complete(f"interfaces[{index}]", card, taken) for index, card in enumerate(cards)
        )

    def lease(self, taken: Mapping[str, str]) -> str:
        """A free address with its prefix length.

        Raises:
            CapacityError: There is none.
        """
        subnet = ip_network(self.subnet)
        for host in islice(subnet.hosts(), 1, len(taken) + 2):
            if str(host) not in taken:
                return f"{host}/{subnet.prefixlen}"
        raise CapacityError(
            f"network {NAME} ({self.subnet}) has no free address",
            hint="delete VMs, or give the pool a larger `network`",
        )

    def _complete(self, field: str, card: Interface, taken: dict[str, str]) -> Interface:
        if card.network not in ("", NAME):
            raise NotFoundError(
                f"{field}.network: there is no network {card.network!r}",
                code="network-not-found",
                hint=f"networks: {NAME}",
            )
        if not card.addresses:
            return replace(card, network=NAME)
        addresses = []
        for index, text in enumerate(card.addresses):
            address = self._check(f"{field}.addresses[{index}]", text, taken)
            taken[address.partition("/")[0]] = "this VM"
            addresses.append(address)
        return replace(
            card,
            network=NAME,
            addresses=tuple(addresses),
            gateways=card.gateways or (self.gateway,),
            nameservers=card.nameservers or (self.gateway,),
        )

    def _check(self, field: str, text: str, taken: Mapping[str, str]) -> str:
        subnet = ip_network(self.subnet)
        hint = f"give one of {self.subnet}"
        try:
            address = ip_interface(text)
        except ValueError:
            raise InvalidError(f"{field}: {text!r} is not an address", hint=hint) from None
        if address.ip not in subnet:
            raise InvalidError(
                f"{field}: {text} is outside of network {NAME}, {self.subnet}", hint=hint
            )
        if "/" in text and address.network != subnet:
            raise InvalidError(
                f"{field}: {text} has another prefix length than network {NAME}, {self.subnet}",
                hint="leave the prefix length out",
            )
        if address.ip in (subnet.network_address, subnet.broadcast_address):
            raise InvalidError(f"{field}: {text} is the subnet's own address", hint=hint)
        holder = "the gateway" if str(address.ip) == self.gateway else taken.get(str(address.ip))
        if holder:
            raise ConflictError(
                f"{field}: {text} is taken by {holder}",
                code="address-taken",
                hint="give another address, or none for DHCP",
            )
        return f"{address.ip}/{subnet.prefixlen}"
