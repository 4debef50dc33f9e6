"""IPv4 addresses in MAC addresses: the two schemes that contextualization systems have published.

They exist for guests that learn their address from nothing but their card. The two are
incompatible, so which one is meant is always said.

``guide``
    OPTIMIS' user guide: octets 1 to 4 are the default gateway, octets 5 and 6 the last two of the
    VM's address, which begins with the gateway's first two. The guide's own example is wrong:
    it gives ``0C-A8-01-01-02-0A`` for gateway 192.168.1.1 and address 192.168.2.10, which is
    ``C0-A8-01-01-02-0A``.
``scripts``
    OPTIMIS' shipped scripts and OpenNebula: octets 3 to 6 are the address. Octets 1 and 2 are
    free; OpenNebula's ``02:00`` is used. To OPTIMIS' scripts ``0A`` in octet 1 says that the card
    is to use DHCP.

A card's MAC must not be a multicast address (IEEE 802, section 8), so a gateway with an odd first
octet has no MAC under ``guide``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from ims_core.models import Interface

__all__ = ["Decoded", "MacScheme", "decode", "encode", "mac_for"]

_MAC = re.compile(r"[0-9a-f]{2}([:-][0-9a-f]{2}){5}")
_DHCP = 0x0A
_OPENNEBULA = b"\x02\x00"


class MacScheme(StrEnum):
    """Which of the two."""

    GUIDE = "guide"
    SCRIPTS = "scripts"


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a MAC says.

    Attributes:
        address: None where the card is to use DHCP.
        gateway: None where the scheme does not tell it.
    """

    address: IPv4Address | None
    gateway: IPv4Address | None = None


def encode(scheme: MacScheme, address: IPv4Address, gateway: IPv4Address | None = None) -> str:
    """The MAC that says this.

    Args:
        scheme: Which of the two.
        address: Of the card.
        gateway: Its default route; needed by ``guide`` alone.

    Raises:
        InvalidError: The scheme cannot say it.
    """
    if scheme is MacScheme.SCRIPTS:
        return _text(_OPENNEBULA + address.packed)
    if gateway is None:
        raise _invalid("the scheme 'guide' needs a gateway", "Give the card a gateway.")
    if gateway.packed[0] % 2:
        problem = f"gateway {gateway} has an odd first octet, which would be a multicast MAC"
        raise _invalid(problem, "Use another gateway, or the scheme 'scripts'.")
    if gateway.packed[:2] != address.packed[:2]:
        problem = f"address {address} and gateway {gateway} do not begin with the same two octets"
        raise _invalid(problem, "Use another gateway, or the scheme 'scripts'.")
    return _text(gateway.packed + address.packed[2:])


def decode(scheme: MacScheme, mac: str) -> Decoded:
    """What a MAC says.

    Args:
        scheme: Which of the two.
        mac: With colons or hyphens, in either case.

    Raises:
        InvalidError: It is no MAC of a card.
    """
    if not _MAC.fullmatch(mac.lower()):
        raise _invalid(f"{mac!r} is not a MAC", "Write it as 02:00:c0:a8:01:0a.")
    octets = bytes.fromhex(re.sub("[:-]", "", mac))
    if octets[0] % 2:
        raise _invalid(f"{mac} is a multicast address, which no card has", "Check its first octet.")
    if scheme is MacScheme.SCRIPTS:
        return Decoded(None if octets[0] == _DHCP else IPv4Address(octets[2:]))
    return Decoded(IPv4Address(octets[:2] + octets[4:]), IPv4Address(octets[:4]))


def mac_for(scheme: MacScheme, card: Interface, entropy: bytes) -> str:
    """The MAC for a card; empty where the scheme has nothing to say of it.

    Args:
        scheme: Which of the two.
        card: With one IPv4 address, or none for DHCP.
        entropy: Five bytes that tell this card from others, where it has no address.

    Raises:
        InvalidError: The card has several IPv4 addresses, or the scheme cannot say its one.
    """
    try:
        addresses = [
            IPv4Address(text.partition("/")[0]) for text in card.addresses if ":" not in text
        ]
        gateways = [IPv4Address(text) for text in card.gateways if ":" not in text]
    except ValueError as error:
        raise _invalid(str(error), "Write addresses as 192.0.2.10.") from None
    if len(addresses) > 1:
        raise _invalid(
            "a MAC has room for one IPv4 address", "Give the card a MAC, or one address."
        )
    if addresses:
        return encode(scheme, addresses[0], gateways[0] if gateways else None)
    if scheme is MacScheme.SCRIPTS and not card.addresses:
        return _text(bytes([_DHCP]) + entropy[:5])
    return ""


def _text(octets: bytes) -> str:
    return octets.hex(":")


def _invalid(problem: str, hint: str) -> InvalidError:
    return InvalidError(f"MAC scheme: {problem}", code="mac-scheme", hint=hint)
