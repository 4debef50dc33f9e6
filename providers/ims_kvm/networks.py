"""The networks that libvirt runs: what an address on them needs, and who has one already.

Where a card is on a libvirt network with DHCP, a static address is also reserved there as a host
entry, so that DHCP never gives it to another guest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import (
    IPv4Interface,
    IPv6Interface,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import libvirt
from defusedxml.ElementTree import fromstring

from ims_core.errors import ConflictError, InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection
    from xml.etree.ElementTree import Element

    from ims_core.models import Interface
    from ims_kvm.connection import Link

__all__ = ["HostEntry", "Networks", "entry_name", "is_managed"]

_Interface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class HostEntry:
    """A DHCP host entry of a libvirt network."""

    mac: str
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a network's XML says."""

    active: bool
    gateways: tuple[_Interface, ...]
    has_dhcp: bool
    has_dns: bool
    hosts: tuple[HostEntry, ...]


def is_managed(network: str) -> bool:
    """Whether the name means a libvirt network, not a bridge of the host or QEMU's own NAT."""
    return network != "user" and not network.startswith("bridge:")


def entry_name(vm: str, index: int) -> str:
    """The name in the host entry of a VM's n-th card: only one of a network may have it."""
    return "" if index else vm


class Networks:
    """The networks of one connection."""

    def __init__(self, link: Link, default: str) -> None:
        """Nothing is asked yet.

        Args:
            link: To the libvirt that has them.
            default: The network of cards that name none.
        """
        self.default = default
        self._link = link

    def complete(self, card: Interface, macs: Collection[str] = ()) -> Interface:
        """A card with its network, and for static addresses prefix, gateways and name servers.

        Args:
            card: As the caller gave it.
            macs: The MACs of a VM that exists; none for one that is to be made.

        Raises:
            NotFoundError: ``network-not-found``.
            ConflictError: ``network-inactive``, ``address-taken``, ``mac-taken``.
            InvalidError: ``address-outside-network``.
        """
        card = replace(card, network=card.network or self.default)
        if not is_managed(card.network):
            return replace(card, addresses=tuple(_with_prefix(each) for each in card.addresses))
        network = self._lookup(card.network)
        facts = _facts(network)
        if not facts.active:
            raise ConflictError(
                f"network {card.network!r} is not active",
                code="network-inactive",
                hint=f"`virsh net-start {card.network}` on the hypervisor's host",
            )
        if not macs:
            _refuse_mac(card.mac, facts, card.network)
        if not card.addresses:
            return card
        own = {card.mac, *macs}
        homes = [_home(each, facts, card.network) for each in card.addresses]
        for address, _ in homes:
            _refuse_taken(address, network, facts, own)
        gateways = tuple(str(home.ip) for _, home in homes)
        return replace(
            card,
            addresses=tuple(str(address) for address, _ in homes),
            gateways=card.gateways or tuple(dict.fromkeys(gateways)),
            nameservers=card.nameservers
            or (tuple(dict.fromkeys(gateways)) if facts.has_dns else ()),
        )

    def reservation(self, card: Interface, vm: str, index: int) -> HostEntry | None:
        """The host entry that a VM's n-th card, completed, needs if its network has DHCP."""
        if not card.addresses or not is_managed(card.network):
            return None
        if not _facts(self._lookup(card.network)).has_dhcp:
            return None
        for text in card.addresses:
            address = ip_interface(text).ip
            if address.version == 4:  # noqa: PLR2004 - an IP version
                return HostEntry(card.mac, entry_name(vm, index), str(address))
        return None

    def entries(self, network: str) -> tuple[HostEntry, ...]:
        """The host entries of a network; none if it is gone."""
        try:
            return _facts(self._lookup(network)).hosts
        except NotFoundError:
            return ()

    def add(self, network: str, entry: HostEntry) -> None:
        """Add a host entry."""
        self._update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, entry)

    def replace(self, network: str, entry: HostEntry) -> None:
        """Replace the host entry of a MAC."""
        self._update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_MODIFY, entry)

    def remove(self, network: str, entry: HostEntry) -> None:
        """Remove a host entry."""
        self._update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, entry)

    def _update(self, network: str, command: int, entry: HostEntry) -> None:
        host = ET.Element("host", mac=entry.mac, ip=entry.address)
        if entry.name:
            host.set("name", entry.name)
        found = self._lookup(network)
        flags = libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
        if found.isActive():
            flags |= libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE
        found.update(
            command,
            libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST,
            -1,
            ET.tostring(host, encoding="unicode"),
            flags,
        )

    def _lookup(self, name: str) -> libvirt.virNetwork:
        try:
            return self._link.live.networkLookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in (
                libvirt.VIR_ERR_NO_NETWORK,
                libvirt.VIR_ERR_NO_SUPPORT,
            ):
                raise
            raise NotFoundError(
                f"there is no libvirt network {name!r}",
                code="network-not-found",
                hint="`virsh net-list --all` shows those there are; --network user needs none",
            ) from error


def _facts(network: libvirt.virNetwork) -> _Facts:
    document = fromstring(network.XMLDesc())
    dns = document.find("dns")
    return _Facts(
        active=bool(network.isActive()),
        gateways=tuple(_gateway(each) for each in document.iterfind("ip")),
        has_dhcp=document.find("ip/dhcp") is not None,
        has_dns=dns is None or dns.get("enable") != "no",
        hosts=tuple(
            HostEntry(host.get("mac", "").lower(), host.get("name", ""), host.get("ip", ""))
            for host in document.iterfind("ip/dhcp/host")
        ),
    )


def _gateway(element: Element) -> _Interface:
    suffix = element.get("prefix") or element.get("netmask") or ""
    address = element.get("address", "")
    return ip_interface(f"{address}/{suffix}" if suffix else address)


def _with_prefix(text: str) -> str:
    try:
        if "/" in text:
            return str(ip_interface(text))
    except ValueError as error:
        raise InvalidError(f"address {text!r} is not an IP address: {error}") from error
    raise InvalidError(
        f"address {text!r} has no prefix length, and its network does not tell one",
        hint=f"write {text}/24, or whatever the network's prefix is",
    )


def _home(text: str, facts: _Facts, network: str) -> tuple[_Interface, _Interface]:
    """A static address with its prefix, and the network's own address in the same subnet."""
    try:
        address = ip_interface(text)
    except ValueError as error:
        raise InvalidError(f"address {text!r} is not an IP address: {error}") from error
    for gateway in facts.gateways:
        subnet = ip_network(gateway.network)
        if address.ip not in subnet:
            continue
        if "/" in text and address.network != subnet:
            raise InvalidError(
                f"address {text!r} does not have the prefix of network {network!r} ({subnet})",
                hint=f"write {address.ip}/{subnet.prefixlen}",
            )
        if address.ip in (subnet.network_address, subnet.broadcast_address):
            raise InvalidError(f"address {address.ip} is not one that a guest of {subnet} can have")
        if address.ip == gateway.ip:
            raise ConflictError(
                f"address {address.ip} is that of the host itself on network {network!r}",
                code="address-taken",
            )
        return ip_interface(f"{address.ip}/{subnet.prefixlen}"), gateway
    subnets = ", ".join(str(gateway.network) for gateway in facts.gateways)
    raise InvalidError(
        f"address {text!r} is outside network {network!r} ({subnets or 'it has no addresses'})",
        code="address-outside-network",
        hint="choose an address inside it, or another --network",
    )


def _refuse_mac(mac: str, facts: _Facts, network: str) -> None:
    """Refuse a MAC that a host entry names: it would be taken for that VM's, and removed."""
    for host in facts.hosts:
        if mac and host.mac == mac:
            raise ConflictError(
                f"MAC {mac} is reserved for {host.name or host.address} on network {network!r}",
                code="mac-taken",
                hint="choose another MAC, or none",
            )


def _refuse_taken(
    address: _Interface, network: libvirt.virNetwork, facts: _Facts, own: Collection[str]
) -> None:
    """Refuse an address that another MAC has reserved or holds a lease of."""
    holders = [(host.mac, host.address, f"reserved for {host.name}") for host in facts.hosts]
    if facts.has_dhcp:
        holders += [
            (lease.get("mac") or "", lease["ipaddr"], "leased") for lease in network.DHCPLeases()
        ]
    for mac, held, how in holders:
        if held and ip_address(held) == address.ip and mac.lower() not in own:
            raise ConflictError(
                f"address {address.ip} is taken: {how} ({mac})",
                code="address-taken",
                hint="choose another address; a lease ends by itself, `virsh net-dhcp-leases`"
                " shows when",
            )
