"""Checks of network cards: each by itself, and all together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_bootparams.validation.common import check_hostname, check_unique, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

    from ims_core.models import Interface

__all__ = ["check_interfaces"]

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_PREFIXED = re.compile(r"[0-9A-Fa-f.:]+/[0-9]{1,3}")
_IPV4 = 4
_POINT_TO_POINT = 31  # from this prefix length on, every address is a host's (RFC 3021)


def check_interfaces(interfaces: Sequence[Interface]) -> None:
    """Refuse cards that cannot be set as they say, or that contradict each other.

    Raises:
        InvalidError: The first field that cannot be right.
    """
    macs = [interface.mac or f"none {index}" for index, interface in enumerate(interfaces)]
    check_unique("context.interfaces[{}].mac", macs, "Give each card a MAC of its own.")
    owners: dict[IPv4Address | IPv6Address, str] = {}
    for index, interface in enumerate(interfaces):
        field = f"context.interfaces[{index}]"
        _check_mac(f"{field}.mac", interface.mac)
        addresses = [
            _address_of_card(f"{field}.addresses[{number}]", text)
            for number, text in enumerate(interface.addresses)
        ]
        for number, address in enumerate(addresses):
            name = f"{field}.addresses[{number}]"
            first = owners.setdefault(address.ip, name)
            if first != name:
                raise invalid(name, f"{address.ip} is already at {first}", "Keep one of them.")
        _check_gateways(field, interface, addresses)
        for number, text in enumerate(interface.nameservers):
            _address(f"{field}.nameservers[{number}]", text)
        for number, domain in enumerate(interface.search):
            check_hostname(f"{field}.search[{number}]", domain)


def _check_mac(field: str, mac: str) -> None:
    if mac and (not _MAC.fullmatch(mac) or int(mac[:2], 16) % 2):
        hint = "Write it as 52:54:00:12:34:56, in lower case, the first byte even."
        raise invalid(field, f"{mac!r} is not a MAC of a card", hint)


def _address_of_card(field: str, text: str) -> IPv4Interface | IPv6Interface:
    import ipaddress  # noqa: PLC0415  (slow to import, and DHCP needs none of it)

    hint = "Write it with its prefix length, as 192.0.2.10/24 or 2001:db8::10/64."
    if not _PREFIXED.fullmatch(text):
        raise invalid(field, f"{text!r} has no prefix length", hint)
    try:
        address = ipaddress.ip_interface(text)
    except ValueError:
        raise invalid(field, f"{text!r} is not an address", hint) from None
    network = address.network
    ends = (network.network_address, network.broadcast_address)
    if address.version == _IPV4 and network.prefixlen < _POINT_TO_POINT and address.ip in ends:
        raise invalid(field, f"{text} names a whole network", "Give the address of a host in it.")
    return address


def _check_gateways(
    field: str, interface: Interface, addresses: Sequence[IPv4Interface | IPv6Interface]
) -> None:
    versions = []
    for index, text in enumerate(interface.gateways):
        name = f"{field}.gateways[{index}]"
        gateway = _address(name, text)
        versions.append(f"IPv{gateway.version}")
        if not addresses:
            hint = "Remove it, or give the interface static addresses."
            raise invalid(name, "DHCP tells the gateway", hint)
        if all(gateway.version != each.version for each in addresses):
            hint = "Remove it, or give the interface an address of that version."
            raise invalid(name, f"the interface has no IPv{gateway.version} address", hint)
        if any(gateway == each.ip for each in addresses):
            raise invalid(name, f"{text} is the card's own address", "Give the router's.")
        # A router of IPv6 is usually known by its link-local address, which is on every link.
        on_link = gateway.version != _IPV4 and gateway.is_link_local
        if not on_link and not any(gateway in each.network for each in addresses):
            hint = "Give an address in one of the networks, or correct the prefix length of one."
            raise invalid(name, f"{text} is in none of the interface's networks", hint)
    check_unique(f"{field}.gateways[{{}}]", versions, "Give one gateway for each IP version.")


def _address(field: str, text: str) -> IPv4Address | IPv6Address:
    import ipaddress  # noqa: PLC0415  (see above)

    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise invalid(field, f"{text!r} is not an address", "Write it as 192.0.2.1.") from None
    if "%" in text:
        raise invalid(field, f"{text!r} has a zone", "Leave out the % and what follows it.")
    return address
