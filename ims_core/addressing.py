"""Which addresses of a configured network are free, and how they are written. Pure.

Subnets and ranges are spans of numbers: a /64 costs no more than a /24.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ims_core.config import Network

__all__ = ["Span", "capacity", "free_addresses", "host_address", "parse_span"]

Address = IPv4Address | IPv6Address
Span = tuple[Address, Address]
"""A first and a last address."""
Numbers = tuple[int, int]

_TYPES: dict[int, type[Address]] = {4: IPv4Address, 6: IPv6Address}


def free_addresses(network: Network, version: int, taken: Collection[str]) -> Iterator[str]:
    """The addresses that a guest may be given, the smallest first, found as they are asked for.

    They are of the network's ranges, and none of them is a subnet's network or broadcast address
    (IPv4), the anycast address of its routers (IPv6), a gateway, a name server, or excluded.

    Args:
        network: Where the guest's card is.
        version: The IP version, 4 or 6.
        taken: Addresses that others have or were promised, with or without a prefix length.
            What is not an address is passed over: hypervisors and guests may say anything.
    """
    used = set(_numbers(taken, version))
    for first, last in _spans(network, version):
        for number in range(first, last + 1):
            if number not in used:
                yield str(_TYPES[version](number))


def capacity(network: Network, version: int) -> int:
    """How many guests of a network can be given an address of an IP version."""
    return sum(last - first + 1 for first, last in _spans(network, version))


def host_address(network: Network, address: str) -> str:
    """An address with the prefix length of its subnet: ``10.1.2.3/24``.

    Raises:
        InvalidError: ``address-outside-network``, or the text is not an address.
    """
    try:
        wanted = ip_address(address)
    except ValueError:
        raise InvalidError(
            f"{address!r} is not an address", hint="write it without a prefix length"
        ) from None
    for subnet in map(ip_network, network.cidrs):
        if wanted in subnet:
            return f"{wanted}/{subnet.prefixlen}"
    raise InvalidError(
        f"address {wanted} is not in network {network.name!r}",
        code="address-outside-network",
        hint=f"choose one of {', '.join(network.cidrs)}",
    )


def parse_span(text: str) -> Span:
    """The first and the last address of ``10.0.0.1``, ``10.0.0.1-10.0.0.9`` or ``10.0.0.0/28``.

    The last may be the smaller one, or of the other IP version: that is for the caller to judge.

    Raises:
        ValueError: The text is none of these.
    """
    if "%" in text:
        raise ValueError(text)  # a zone is of one machine, and no number has one
    if "/" in text:
        subnet = ip_network(text)
        return subnet[0], subnet[-1]
    first, dash, last = text.partition("-")
    return ip_address(first.strip()), ip_address((last if dash else first).strip())


def _spans(network: Network, version: int) -> Iterator[Numbers]:
    """What may be given, ascending and disjoint."""
    wanted = _merged(_numbers_of(f"{first}-{last}" for first, last in network.ranges), version)
    barred = _merged(_barred(network), version)
    for first, last in wanted:
        start = first
        for low, high in barred:
            if low <= last and high >= start:
                if start < low:
                    yield start, low - 1
                start = high + 1
        if start <= last:
            yield start, last


def _barred(network: Network) -> Iterator[tuple[int, Numbers]]:
    """What is never given, with its IP version."""
    yield from _numbers_of((*network.gateways, *network.nameservers, *network.excluded))
    for subnet in map(ip_network, network.cidrs):
        first, last = int(subnet[0]), int(subnet[-1])
        if last - first > 1:  # of two addresses or one, each is a host's: RFC 3021, RFC 6164
            yield subnet.version, (first, first)
            if isinstance(subnet, IPv4Network):
                yield subnet.version, (last, last)


def _numbers_of(texts: Iterable[str]) -> Iterator[tuple[int, Numbers]]:
    for text in texts:
        first, last = parse_span(text)
        yield first.version, (int(first), int(last))


def _merged(spans: Iterable[tuple[int, Numbers]], version: int) -> list[Numbers]:
    """The spans of an IP version, ascending, those that touch made one."""
    merged: list[Numbers] = []
    for first, last in sorted(numbers for of, numbers in spans if of == version):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _numbers(addresses: Collection[str], version: int) -> Iterator[int]:
    for text in addresses:
        try:
            address = ip_address(text.partition("/")[0])
        except ValueError:
            continue
        if address.version == version:
            yield int(address)
