"""``configdrive-v1``: OpenStack's config drive, version 1, with StratusLab's label ``_CLOUD_INIT``.

.. code-block:: text

    meta.js                     {"user-data": …, "dsmode": "local", …} as JSON
    etc/network/interfaces      interfaces(5); the cards are eth0, eth1, … in their order
    root/.ssh/authorized_keys   the keys

It is for guests of StratusLab's time. A cloud-init with ``ds-identify`` does not look for it; one
whose ``datasource_list`` is ConfigDrive alone (tried: 22.4) reads ``meta.js``, but no network, and
breaks on the keys unless ``meta.js`` has them as well, as the string ``public-keys``. There is no
place for the rest, not even for the host name, but user-data.

interfaces(5) knows cards by their names and not by their MACs, so this is right only where the
guest names them in the order in which they are plugged in.

Source: StratusLab's ``one_contextualization``; interfaces(5), resolvconf(8); cloud-init 22.4.
"""

from __future__ import annotations

import json
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from ims_bootparams.layouts import Layout
from ims_bootparams.layouts.cloud_init.config import identity
from ims_bootparams.layouts.cloud_init.data import own_config, user_data
from ims_bootparams.validation import check_renderable
from ims_core.models import Carrier, Interface

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ims_core.models import Context

__all__ = ["LAYOUT", "render"]

_HEAD = "auto lo\niface lo inet loopback\n"


def render(context: Context) -> Mapping[str, bytes]:
    """The medium's files for this context.

    Args:
        context: Complete, with a MAC for each interface.

    Returns:
        Content by name, without the nonce.

    Raises:
        InvalidError: The context cannot be right, or has a MIME message as its user data, beside
            which the host name cannot be told; the message names the field.
    """
    check_renderable(context)
    config = {**own_config(context), **identity(context), "hostname": context.hostname}
    meta = {
        "instance-id": context.instance_id,
        "dsmode": "local",
        # Ours is ASCII, and what is beside ours is base64.
        "user-data": user_data(context, config).decode("ascii"),
    }
    # None means one card with DHCP, and nothing else would ask for it.
    files = {"etc/network/interfaces": _interfaces(context.interfaces or (Interface(),))}
    if context.ssh_keys:
        keys = "".join(f"{key}\n" for key in context.ssh_keys)
        meta["public-keys"] = keys
        files["root/.ssh/authorized_keys"] = keys.encode()
    return {**files, "meta.js": json.dumps(meta, indent=1).encode("ascii")}


def _interfaces(cards: Sequence[Interface]) -> bytes:
    stanzas = (line for index, card in enumerate(cards) for line in _card(f"eth{index}", card))
    return f"{_HEAD}{''.join(stanzas)}".encode("ascii")


def _card(name: str, card: Interface) -> Iterator[str]:
    """Its stanzas: one for each address, and the first has what is said once."""
    named = {"dns-nameservers": card.nameservers, "dns-search": card.search}
    once = {option: " ".join(values) for option, values in named.items() if values}
    yield f"\nauto {name}\n"
    if not card.addresses:
        yield _stanza(name, "inet dhcp", once)
    gateways = {":" in gateway: gateway for gateway in card.gateways}
    for text in card.addresses:
        is_v6 = ":" in text
        address = ip_interface(text)
        # Apart, as they were before ifupdown took a prefix length with the address (0.7).
        mask = str(address.network.prefixlen if is_v6 else address.netmask)
        options = {"address": str(address.ip), "netmask": mask}
        if is_v6 in gateways:
            options["gateway"] = gateways.pop(is_v6)  # one default route for each IP version
        yield _stanza(name, "inet6 static" if is_v6 else "inet static", options | once)
        once = {}


def _stanza(name: str, method: str, options: Mapping[str, str]) -> str:
    return f"iface {name} {method}\n" + "".join(f"    {k} {v}\n" for k, v in options.items())


LAYOUT = Layout(
    name="configdrive-v1",
    label="_CLOUD_INIT",
    render=render,
    reader="cloud-init of StratusLab's time (ConfigDrive)",
    carriers=(Carrier.FAT_DISK,),
)
