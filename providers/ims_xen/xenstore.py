"""What stands in xenstore for a guest to read.

IMS writes ``/local/domain/DOMID/vm-data/ims/…`` (:mod:`ims_bootparams.values`), which the guest
reads and cannot change. The paths are Xen's (docs/misc/xenstore-paths.pandoc), the further keys
those of Rackspace's agents (facts in openstack-guest-agents-unix, ``commands/network.py``).
"""

from __future__ import annotations

import json
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from ims_core.models import CarrierLimits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ims_core.models import Delivery, Interface

__all__ = ["LIMITS", "keys_file", "rackspace_keys"]

#: xenstore's message has 4,096 bytes for path and value together (xs_wire.h), and by default takes
#: entries of no more than 2,048 from a guest; the same is kept for what a guest is told.
LIMITS = CarrierLimits(max_bytes=256 << 10, max_value_bytes=2000, live=True)

_IPV4 = 4


def keys_file(delivery: Delivery | None, further: Mapping[str, str]) -> bytes:
    """The keys below ``vm-data`` with their values, as they are kept beside the VM."""
    own = {} if delivery is None else delivery.values
    return json.dumps({**{f"ims/{key}": value for key, value in own.items()}, **further}).encode()


def rackspace_keys(hostname: str, cards: Sequence[Interface]) -> dict[str, str]:
    """The keys that Rackspace's agents read: the host's name, and each card with static addresses.

    Cards with DHCP have no key of their own there.
    """
    keys = {"hostname": hostname}
    for index, card in enumerate(cards):
        if card.addresses:
            name = card.mac.replace(":", "").upper()
            keys[f"networking/{name}"] = json.dumps(_networking(card, f"net{index}"))
    return keys


def _networking(card: Interface, label: str) -> dict[str, object]:
    parsed = [ip_interface(each) for each in card.addresses]
    ips = [each for each in parsed if each.version == _IPV4]
    ip6s = [each for each in parsed if each.version != _IPV4]
    gateways: dict[int, str] = {ip_interface(each).version: each for each in card.gateways}
    return {
        "label": label,
        "mac": card.mac.upper(),
        "broadcast": str(ips[0].network.broadcast_address) if ips else "",
        "gateway": gateways.get(_IPV4, ""),
        "gateway_v6": gateways.get(6, ""),
        "dns": list(card.nameservers),
        "ips": [{"enabled": "1", "ip": str(each.ip), "netmask": str(each.netmask)} for each in ips],
        "ip6s": [
            {
                "enabled": "1",
                "ip": str(each.ip),
                "netmask": str(each.network.prefixlen),
                "gateway": gateways.get(6, ""),
            }
            for each in ip6s
        ],
        "routes": [],
    }
