"""``configdrive``: OpenStack's config drive, version 2, on a medium labelled ``config-2``.

.. code-block:: text

    openstack/latest/        and openstack/2018-08-27/, with the same bytes
        meta_data.json       identity, keys, and which content file is which file
        network_data.json
        user_data            cloud-config of ours, or the user's
        vendor_data.json     makes the guest answer
    openstack/content/0000   contents of files, but for those that need users
    ec2/latest/              and ec2/2009-04-04/
        meta-data.json, user-data

cloud-init writes content files with a mode of its own; owner and mode are set by our cloud-config.

Source: OpenStack Nova, "Metadata service" and ``nova/virt/configdrive.py``; cloud-init's manual,
"Config drive"; cloud-init 22.4.
"""

from __future__ import annotations

import json
from ipaddress import ip_interface
from typing import TYPE_CHECKING, Any

from ims_bootparams.layouts import Layout
from ims_bootparams.layouts.cloud_init.config import needs_users
from ims_bootparams.layouts.cloud_init.data import (
    CHECKS_FILE,
    expectations,
    own_config,
    user_data,
    vendor_data,
)
from ims_bootparams.validation import check_renderable
from ims_core.errors import InvalidError
from ims_core.models import Carrier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ims_core.models import Context, File, Interface

__all__ = ["LAYOUT", "render"]

LABEL = "config-2"
_DSMODE = "dsmode"
_OPENSTACK = ("latest", "2018-08-27")  # the newest that cloud-init asks for
_EC2 = ("latest", "2009-04-04")


def render(context: Context) -> Mapping[str, bytes]:
    """The medium's files for this context.

    Args:
        context: Complete, with a MAC for each interface.

    Returns:
        Content by name, without the nonce.

    Raises:
        InvalidError: The context cannot be right; the message names the field.
    """
    check_renderable(context)
    _check_properties(context)
    data = user_data(context, own_config(context, all_files=False))
    vendor = vendor_data(context, LABEL).decode("ascii")
    openstack = {
        "meta_data.json": _json(_meta_data(context)),
        "user_data": data,
        "vendor_data.json": _json({"cloud-init": vendor}),
    }
    if context.interfaces:
        openstack["network_data.json"] = _json(_network_data(context))
    ec2 = {"meta-data.json": _json(_ec2_meta_data(context)), "user-data": data}
    return {
        **{f"openstack/{v}/{name}": each for v in _OPENSTACK for name, each in openstack.items()},
        **{f"ec2/{v}/{name}": each for v in _EC2 for name, each in ec2.items()},
        **{f"openstack{_content(i)}": file.content for i, file in _contents(context)},
        CHECKS_FILE: expectations(context),
    }


def _check_properties(context: Context) -> None:
    if _DSMODE in context.properties:
        raise InvalidError(
            f"context.properties[{_DSMODE!r}]: in the layout configdrive, cloud-init takes it for"
            " its own setting, which may turn the whole context off",
            hint="Give it another name, or make it a secret.",
        )


def _content(index: int) -> str:
    return f"/content/{index:04}"


def _contents(context: Context) -> Iterator[tuple[int, File]]:
    """The files that cloud-init may write before the users are there, which is when it does."""
    return ((i, file) for i, file in enumerate(context.files) if not needs_users(file))


def _meta_data(context: Context) -> dict[str, Any]:
    meta_data: dict[str, Any] = {
        "uuid": context.instance_id,
        "name": context.hostname,
        "hostname": context.hostname,
        "launch_index": 0,
        "public_keys": _keys(context),
        "meta": dict(context.properties),
    }
    files = [{"path": each.path, "content_path": _content(i)} for i, each in _contents(context)]
    if files:
        meta_data["files"] = files
    return meta_data


def _keys(context: Context) -> dict[str, str]:
    return {f"key-{index}": key for index, key in enumerate(context.ssh_keys)}


def _ec2_meta_data(context: Context) -> dict[str, Any]:
    keys = {str(i): {"openssh-key": key} for i, key in enumerate(context.ssh_keys)}
    return {
        "instance-id": context.instance_id,
        "hostname": context.hostname,
        "local-hostname": context.hostname,
        **({"public-keys": keys} if keys else {}),
    }


def _network_data(context: Context) -> dict[str, Any]:
    """Nova's ``network_data.json``; ``dns_search`` in it is cloud-init's own."""
    links, services = [], []
    networks: list[dict[str, Any]] = []
    for index, card in enumerate(context.interfaces):
        link = {"id": f"eth{index}", "type": "phy", "ethernet_mac_address": card.mac}
        links.append(link)
        for network in _networks(card):
            number = len(networks)
            networks.append(
                {"id": f"network{number}", "network_id": f"network{number}", "link": link["id"]}
                | network
            )
        services += [{"type": "dns", "address": server} for server in card.nameservers]
    return {"links": links, "networks": networks, "services": services}


def _networks(card: Interface) -> Iterator[dict[str, Any]]:
    search = {"dns_search": list(card.search)} if card.search else {}
    if not card.addresses:
        yield {"type": "ipv4_dhcp", **search}
    gateways = {":" in gateway: gateway for gateway in card.gateways}
    for text in card.addresses:
        address = ip_interface(text)
        is_v6 = ":" in text
        network: dict[str, Any] = {
            "type": "ipv6" if is_v6 else "ipv4",
            "ip_address": str(address.ip),
            "netmask": str(address.netmask),
            **search,
        }
        if is_v6 in gateways:  # one default route for each IP version
            everything = "::" if is_v6 else "0.0.0.0"  # noqa: S104 - an address of a route
            route = {"network": everything, "netmask": everything, "gateway": gateways.pop(is_v6)}
            network["routes"] = [route]
        yield network


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode("ascii")


def _answers(context: Context) -> bool:
    del context  # vendor-data is there whatever the user brings
    return True


LAYOUT = Layout(
    name="configdrive",
    label=LABEL,
    render=render,
    reader="cloud-init (ConfigDrive)",
    carriers=(Carrier.ISO, Carrier.FAT_DISK, Carrier.TEMPLATE_DISK),
    answers=_answers,
)
