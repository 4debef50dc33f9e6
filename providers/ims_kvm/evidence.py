"""What the outside can know of a guest: its addresses, from every source there is, and receipt.

No source is right alone: a lease misses bridged networks and static addresses, an agent may be
absent, ARP needs traffic. So all are asked, and each address says who reported it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import libvirt

from ims_core.models import Address

if TYPE_CHECKING:
    from collections.abc import Collection

    from ims_core.models import Receipt

__all__ = ["SOURCES", "addresses_of"]

SOURCES = {
    "lease": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
    "agent": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
    "arp": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
}
AGENT_SECONDS = 2


def addresses_of(
    domain: libvirt.virDomain, macs: Collection[str], receipt: Receipt | None
) -> tuple[Address, ...]:
    """The addresses on these MACs, from every source that answers."""
    found = []
    for source, flag in SOURCES.items():
        try:
            if source == "agent":
                domain.agentSetResponseTimeout(AGENT_SECONDS)
            reported = domain.interfaceAddresses(flag)
        except libvirt.libvirtError:
            continue  # this source has nothing to say: no agent, not running, no such driver
        for interface in reported.values():
            mac = (interface["hwaddr"] or "").lower()
            for each in interface["addrs"] or ():
                prefix = f"/{each['prefix']}" if each["prefix"] else ""
                found.append(Address(f"{each['addr']}{prefix}", mac, source))
    if receipt is not None:
        found += receipt.addresses
    return tuple(each for each in found if each.mac in macs and each.is_routable)
