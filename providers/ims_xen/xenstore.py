"""What stands in xenstore for a guest, and what it answers there.

IMS writes ``/local/domain/DOMID/vm-data/ims/…`` (:mod:`ims_bootparams.values`), which the guest
reads and cannot change; the guest writes ``data/ims/receipt/…``. The paths are Xen's
(docs/misc/xenstore-paths.pandoc), the further keys those of Rackspace's agents
(facts in openstack-guest-agents-unix, ``commands/network.py``).
"""

from __future__ import annotations

import json
import re
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from ims_bootparams.receipt import receipt_of_values
from ims_core.models import CarrierLimits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ims_core.models import Delivery, Interface, Receipt

__all__ = ["LIMITS", "Stored", "keys_file", "rackspace_keys", "stored_in"]

#: xenstore's message has 4,096 bytes for path and value together (xs_wire.h), and by default takes
#: entries of no more than 2,048 from a guest; the same is kept for what a guest is told.
LIMITS = CarrierLimits(max_bytes=256 << 10, max_value_bytes=2000, live=True)

_LINE = re.compile(r'/local/domain/([0-9]+)/([A-Za-z0-9@/_-]+) = "([^"\\]*)"')
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


class Stored:
    """What guests wrote, by domain id."""

    def __init__(self, values: Mapping[int, Mapping[str, str]]) -> None:
        """Keep it."""
        self._values = values

    def receipt(self, domid: int | None = None) -> Receipt | None:
        """What a domain's guest answered; without a domain id, whichever is the only one there."""
        chosen = self._values.get(domid, {}) if domid is not None else _only(self._values)
        begin = "data/ims/receipt/"
        return receipt_of_values(
            {
                key.removeprefix(begin): value
                for key, value in chosen.items()
                if key.startswith(begin)
            }
        )

    def addresses(self, domid: int) -> list[tuple[int, str]]:
        """Addresses that a guest's tools told, each with the number of its card."""
        found = []
        for key, value in self._values.get(domid, {}).items():
            if match := _ADDRESS_KEY.fullmatch(key):
                found.append((int(match[1] or match[2]), value))
        return found


# Of XenServer's guest tools, now and before.
_ADDRESS_KEY = re.compile(r"attr/(?:vif/([0-9]{1,3})/ipv[46]/[0-9]+|eth([0-9]{1,3})/ip)")


def stored_in(text: str) -> Stored:
    """What ``xenstore-ls -f`` printed; lines that are not of that form are left out."""
    values: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        if match := _LINE.match(line):
            values.setdefault(int(match[1]), {})[match[2]] = match[3]
    return Stored(values)


def _only(values: Mapping[int, Mapping[str, str]]) -> Mapping[str, str]:
    return next(iter(values.values())) if len(values) == 1 else {}
