"""Network cards: the networks they name, and what a static address on one needs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_interface, ip_network

from ims_core.errors import ConflictError, InvalidError, NotFoundError
from ims_core.models import Interface

from .hypervisor import Network

__all__ = ["completed"]


def completed(
    cards: Sequence[Interface],
    networks: Mapping[str, Network],
    default: str,
    taken: Mapping[str, str],
) -> tuple[Interface, ...]:
    """Check cards, and fill in what the hypervisor knows of their networks (sentence 4).

    Args:
        cards: As they were ordered; without addresses they use DHCP.
        networks: Those of the hypervisor, by name.
        default: The network of cards that name none.
        taken: Names of the VMs that have an address, by address without prefix length.

    Raises:
        NotFoundError: `network-not-found`.
        InvalidError: What is no address, or outside its network.
        ConflictError: `address-taken`.
    """
    return tuple(
        _completed(f"interfaces[{index}]", card, networks, default, taken)
        for index, card in enumerate(cards)
    )


def _completed(
    field: str,
    card: Interface,
    networks: Mapping[str, Network],
    default: str,
    taken: Mapping[str, str],
) -> Interface:
    network = networks.get(card.network or default)
    if network is None:
        raise NotFoundError(
            f"{field}.network: there is no network {card.network or default!r}",
            code="network-not-found",
            hint=f"networks: {', '.join(sorted(networks))}",
        )
    if not card.addresses:
        return replace(card, network=network.name)
    # YOURS: if your hypervisor does not know its networks' subnets, refuse an address without a
    # prefix length, and take the others as they are.
    return replace(
        card,
        network=network.name,
        addresses=tuple(_checked(field, each, network, taken) for each in card.addresses),
        gateways=card.gateways or (network.gateway,),
        nameservers=card.nameservers or (network.gateway,),
    )


def _checked(field: str, text: str, network: Network, taken: Mapping[str, str]) -> str:
    """An address with its prefix length."""
    hint = f"give one of {network.subnet}, or none for DHCP"
    try:
        address = ip_interface(text).ip
    except ValueError:
        raise InvalidError(f"{field}.addresses: {text!r} is no address", hint=hint) from None
    subnet = ip_network(network.subnet)
    if address not in subnet or address in (subnet.network_address, subnet.broadcast_address):
        raise InvalidError(
            f"{field}.addresses: {text} is no address for a guest of network {network.name!r}",
            hint=hint,
        )
    holder = "the gateway" if str(address) == network.gateway else taken.get(str(address))
    if holder:
        raise ConflictError(
            f"{field}.addresses: {text} is taken by {holder}", code="address-taken", hint=hint
        )
    return f"{address}/{subnet.prefixlen}"
