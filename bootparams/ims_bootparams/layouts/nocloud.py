"""``nocloud``: what cloud-init's NoCloud data source reads from a medium labelled ``cidata``.

``meta-data`` tells the identity and the keys, ``network-config`` the network, ``user-data`` the
rest, and ``vendor-data`` makes the guest answer. Raw user data is passed byte for byte, or as the
first part of a message where something of ours must be beside it.

``nocloud-v1`` is the same with version 1 of the network configuration, for readers that do not
know version 2.

Source: cloud-init's manual, "NoCloud" and "Network configuration"; its release 22.4.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ims_bootparams.layouts import Layout
from ims_bootparams.layouts.cloud_init.data import (
    CHECKS_FILE,
    expectations,
    own_config,
    user_data,
    vendor_data,
)
from ims_bootparams.layouts.cloud_init.yaml import to_yaml
from ims_bootparams.validation import check_renderable
from ims_core.models import Carrier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ims_core.models import Context, Interface

__all__ = ["LAYOUT", "LAYOUT_V1", "render"]

LABEL = "cidata"


def render(
    context: Context, network: Callable[[Sequence[Interface]], Mapping[str, Any]]
) -> Mapping[str, bytes]:
    """The medium's files for this context.

    Args:
        context: Complete, with a MAC for each interface.
        network: Makes the network configuration.

    Returns:
        Content by name, without the nonce.

    Raises:
        InvalidError: The context cannot be right; the message names the field.
    """
    check_renderable(context)
    meta_data: dict[str, Any] = {
        "instance-id": context.instance_id,
        "local-hostname": context.hostname,
    }
    if context.ssh_keys:
        meta_data["public-keys"] = list(context.ssh_keys)
    files = {
        "meta-data": to_yaml(meta_data),
        "user-data": user_data(context, own_config(context)),
        "vendor-data": vendor_data(context, LABEL),
        CHECKS_FILE: expectations(context),
    }
    if context.interfaces:  # without any, cloud-init's own default is DHCP on the first card
        # Bare, without a `network:` around it, which older releases refuse.
        files["network-config"] = to_yaml(network(context.interfaces))
    return files


def network_v1(interfaces: Sequence[Interface]) -> dict[str, Any]:
    """Version 1; it names the cards eth0, eth1, and so on."""
    cards = [
        {
            "type": "physical",
            "name": f"eth{index}",
            "mac_address": card.mac,
            "subnets": _subnets(card),
        }
        for index, card in enumerate(interfaces)
    ]
    return {"version": 1, "config": cards}


def _subnets(card: Interface) -> list[dict[str, Any]]:
    named = {"dns_nameservers": card.nameservers, "dns_search": card.search}
    servers = {key: list(values) for key, values in named.items() if values}
    if not card.addresses:
        return [{"type": "dhcp4", **servers}]
    subnets: list[dict[str, Any]] = []
    gateways = {":" in gateway: gateway for gateway in card.gateways}
    for address in card.addresses:
        is_v6 = ":" in address
        subnet: dict[str, Any] = {"type": "static6" if is_v6 else "static", "address": address}
        if is_v6 in gateways:
            subnet["gateway"] = gateways.pop(is_v6)  # one default route for each IP version
        subnets.append(subnet)
    subnets[0] |= servers
    return subnets


def network_v2(interfaces: Sequence[Interface]) -> dict[str, Any]:
    """Version 2, which keeps the cards' names."""
    ethernets = {f"eth{index}": _ethernet(card) for index, card in enumerate(interfaces)}
    return {"version": 2, "ethernets": ethernets}


def _ethernet(card: Interface) -> dict[str, Any]:
    entry: dict[str, Any] = {"match": {"macaddress": card.mac}}
    if card.addresses:
        entry["addresses"] = list(card.addresses)
    else:
        entry["dhcp4"] = True
    for gateway in card.gateways:
        # Not `routes`: cloud-init 22.4 makes ::/64 of ::/0, and does not know `default`.
        entry["gateway6" if ":" in gateway else "gateway4"] = gateway
    nameservers = {"addresses": card.nameservers, "search": card.search}
    given = {key: list(values) for key, values in nameservers.items() if values}
    if given:
        entry["nameservers"] = given
    return entry


def _answers(context: Context) -> bool:
    del context  # vendor-data is there whatever the user brings
    return True


LAYOUT, LAYOUT_V1 = (
    Layout(
        name=name,
        label=LABEL,
        render=partial(render, network=network),
        reader="cloud-init (NoCloud)",
        carriers=(Carrier.ISO, Carrier.FAT_DISK, Carrier.TEMPLATE_DISK),
        answers=_answers,
    )
    for name, network in (("nocloud", network_v2), ("nocloud-v1", network_v1))
)
