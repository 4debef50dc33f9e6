"""Addresses of a guest, from everybody on its host who may know them."""

from __future__ import annotations

import re
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as Defused

from ims_core.models import Address

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from xml.etree.ElementTree import Element

    from ims_core.models import Receipt
    from ims_virtualbox.vboxmanage.document import Adapter

__all__ = ["addresses_of", "leases_in"]

# What the Guest Additions tell; see the manual, "Guest Properties".
_NET = re.compile(r"/VirtualBox/GuestInfo/Net/\d+/")
# A file without a lease is one empty element.
_LEASES = re.compile(rb"<Leases(?:\s(?:[^>]*[^>/])?)?>.*?</Leases>", re.DOTALL)
_MAC_DIGITS = 12


def addresses_of(
    cards: Sequence[Adapter],
    receipt: Receipt | None,
    properties: Mapping[str, str],
    leases: Collection[Address],
) -> tuple[Address, ...]:
    """The addresses of a running guest, each with its source; link-local ones are left out."""
    found = [*(receipt.addresses if receipt is not None else ())]
    for prefix in sorted({match[0] for key in properties if (match := _NET.match(key))}):
        mac = _mac(properties.get(f"{prefix}MAC", ""))
        words = (properties.get(f"{prefix}V4/{word}", "") for word in ("IP", "Netmask"))
        found.append(Address(_with_prefix(*words), mac, "agent"))
    found += leases
    macs = {card.mac for card in cards}
    return tuple(each for each in found if each.mac in macs and each.is_routable)


def leases_in(content: bytes, now: float) -> list[Address]:
    """Who has a lease of VirtualBox's own DHCP servers, out of their files, one after another.

    Args:
        content: The files'.
        now: Seconds since the epoch, by the clock of the host. That a lease is over is written
            down only when somebody else asks for one.
    """
    found = []
    for document in _LEASES.findall(content):
        try:
            leases = Defused.fromstring(document, forbid_dtd=True).iter("Lease")
        except (Defused.ParseError, DefusedXmlException, ValueError):
            continue
        for lease in leases:
            address = lease.find("Address")
            if lease.get("state") == "acked" and address is not None and _lasts(lease, now):
                mac = lease.get("mac", "").lower()
                found.append(Address(address.get("value", ""), mac, "lease"))
    return found


def _lasts(lease: Element, now: float) -> bool:
    time = lease.find("Time")
    try:
        told = time.attrib if time is not None else {}
        return int(told["issued"]) + int(told["expiration"]) > now
    except (KeyError, ValueError):
        return False


def _with_prefix(address: str, mask: str) -> str:
    """An IPv4 address with its prefix length; empty if it is none, as a guest may say anything."""
    for text in (f"{address}/{mask}", address):
        try:
            found = IPv4Interface(text)
        except ValueError:
            continue
        return str(found) if "/" in text else str(found.ip)
    return ""


def _mac(text: str) -> str:
    plain = text.lower()
    if len(plain) != _MAC_DIGITS:
        return ""
    return ":".join(plain[place : place + 2] for place in range(0, _MAC_DIGITS, 2))
