"""``[networks.NAME]`` of ``ims.toml``; imported only where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ims_core.addressing import parse_span
from ims_core.config.values import known_keys, pool_names, texts
from ims_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from ims_core.addressing import Span

    Subnets = Sequence[IPv4Network | IPv6Network]

__all__ = ["Network", "parse_networks"]

_KEYS = ("cidr", "gateway", "dns", "range", "excluded", "pools", "network")


@dataclass(frozen=True, slots=True)
class Network:
    """What guests on one of the hypervisors' networks must be told, and what they may be given.

    Every address is in its canonical text, so that two of them can be compared as texts.

    Attributes:
        cidrs: The subnets, of either IP version; no two overlap.
        gateways: Routers, each in one of the subnets.
        nameservers: Resolvers, wherever they are.
        ranges: First and last address of what may be given to guests unasked, each pair in one
            of the subnets; none: nothing is.
        excluded: What is never given: addresses, ``first-last``, or CIDRs.
        pools: The pools that have this network; none: all of them.
        hypervisor_name: What those pools call it.
    """

    name: str
    cidrs: tuple[str, ...]
    gateways: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    ranges: tuple[tuple[str, str], ...] = ()
    excluded: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    hypervisor_name: str = ""

    @property
    def allocates(self) -> bool:
        """Whether a guest is given an address that asks for none."""
        return bool(self.ranges)

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions of the ranges, ascending: 4, 6, both or none."""
        return tuple(sorted({6 if ":" in first else 4 for first, _ in self.ranges}))

    def serves(self, pool: str) -> bool:
        """Whether a pool has this network."""
        return not self.pools or pool in self.pools


def parse_networks(
    tables: Mapping[str, Mapping[str, Any]], pools: Collection[str]
) -> dict[str, Network]:
    """The networks by name.

    Args:
        tables: The ``networks`` table, whose names have been checked.
        pools: Names of the pools there are.

    Raises:
        ConfigError: Names the network, its key, and the fix.
    """
    found = {name: _parse(name, table, pools) for name, table in tables.items()}
    for one, other in combinations(found.values(), 2):
        if one.hypervisor_name == other.hypervisor_name and (shared := _shared(one, other)):
            raise ConfigError(
                f"networks.{one.name} and networks.{other.name} are both network"
                f" {one.hypervisor_name!r} of {shared}",
                hint="make one of the two, or give each its own pools",
            )
    return found


def _shared(one: Network, other: Network) -> str:
    """The pools that two networks have in common; empty if there is none."""
    if not (one.pools or other.pools):
        return "every pool"
    both = [pool for pool in one.pools or other.pools if one.serves(pool) and other.serves(pool)]
    return f"pool {', '.join(both)}" if both else ""


def _parse(name: str, table: Mapping[str, Any], pools: Collection[str]) -> Network:
    where = f"networks.{name}"
    known_keys(where, table, _KEYS)
    subnets = _subnets(f"{where}.cidr", texts(f"{where}.cidr", table.get("cidr", [])))
    given = {key: texts(f"{where}.{key}", table.get(key, [])) for key in _KEYS[1:5]}
    hypervisor_name = table.get("network", name)
    if not isinstance(hypervisor_name, str) or not hypervisor_name:
        raise ConfigError(f"{where}.network must be a string: what the hypervisor calls it")
    return Network(
        name,
        cidrs=tuple(map(str, subnets)),
        gateways=tuple(_inside(f"{where}.gateway", text, subnets) for text in given["gateway"]),
        nameservers=tuple(_address(f"{where}.dns", text) for text in given["dns"]),
        ranges=tuple(_range(f"{where}.range", text, subnets) for text in given["range"]),
        excluded=tuple(_excluded(f"{where}.excluded", text, subnets) for text in given["excluded"]),
        pools=pool_names(where, table["pools"], pools) if "pools" in table else (),
        hypervisor_name=hypervisor_name,
    )


def _subnets(where: str, given: Sequence[str]) -> Subnets:
    if not given:
        raise ConfigError(f"{where} is missing", hint='add: cidr = "10.1.2.0/24"')
    subnets = [_subnet(where, text) for text in given]
    for one, other in combinations(subnets, 2):
        if one.version == other.version and one.overlaps(other):
            raise ConfigError(f"{where}: {one} and {other} overlap", hint="leave one of them out")
    return subnets


def _subnet(where: str, text: str) -> IPv4Network | IPv6Network:
    try:
        subnet = ip_network(text, strict=False)
    except ValueError:
        subnet = None
    if subnet is None or "/" not in text or "%" in text:
        raise ConfigError(
            f"{where}: {text!r} is not a subnet", hint='write it as "10.1.2.0/24" or "fd00:1::/64"'
        )
    if int(ip_address(text.partition("/")[0])) != int(subnet.network_address):
        raise ConfigError(
            f"{where}: {text!r} is an address in a subnet, not a subnet",
            hint=f'write "{subnet}"',
        )
    return subnet


def _address(where: str, text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    if address is None or "%" in text:
        raise ConfigError(
            f"{where}: {text!r} is not an address", hint='write it as "10.1.2.3" or "fd00:1::3"'
        )
    return str(address)


def _inside(where: str, text: str, subnets: Subnets) -> str:
    address = ip_address(_address(where, text))
    _require_inside(where, text, (address, address), subnets)
    return str(address)


def _range(where: str, text: str, subnets: Subnets) -> tuple[str, str]:
    span = _span(where, text) if "-" in text else None
    if span is None:
        raise ConfigError(
            f"{where}: {text!r} is not a range", hint='write it as "10.1.2.100-10.1.2.199"'
        )
    _require_inside(where, text, span, subnets)
    return str(span[0]), str(span[1])


def _excluded(where: str, text: str, subnets: Subnets) -> str:
    span = _span(where, text)
    if span is None:
        raise ConfigError(
            f"{where}: {text!r} is no address, range or subnet",
            hint='write "10.1.2.3", "10.1.2.3-10.1.2.9" or "10.1.2.64/28"',
        )
    _require_inside(where, text, span, subnets)
    first, last = span
    return str(first) if first == last else f"{first}-{last}"


def _span(where: str, text: str) -> Span | None:
    try:
        first, last = parse_span(text)
    except ValueError:
        return None
    if first.version != last.version or int(first) > int(last):
        raise ConfigError(
            f"{where}: {text!r} ends before it begins",
            hint=f'write "{last}-{first}"' if first.version == last.version else "",
        )
    return first, last


def _require_inside(where: str, text: str, span: Span, subnets: Subnets) -> None:
    if not any(span[0] in subnet and span[1] in subnet for subnet in subnets):
        raise ConfigError(
            f"{where}: {text!r} is not inside {' or '.join(map(str, subnets))}",
            hint="correct it, or add its subnet to cidr",
        )
