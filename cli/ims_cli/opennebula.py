"""``--opennebula-template``: an order out of a VM template of OpenNebula.

What OpenNebula would look up in its own tables comes from what IMS knows: the cards as they will
be made, the networks of ``ims.toml``, the IMS template, the user. The rest is in a file of facts.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import time
from dataclasses import dataclass, replace
from ipaddress import ip_interface, ip_network
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ims_bootparams.opennebula_template import (
    TOKEN_FILE,
    Facts,
    Template,
    machine,
    parse,
    resolve,
    token_txt,
)
from ims_cli.inputs import Inputs
from ims_cli.opennebula_facts import Known, known_from
from ims_core.errors import InvalidError
from ims_core.models import File, Interface, Script

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ims_bootparams.opennebula_template import Contextualization
    from ims_core.config import Network
    from ims_core.models import Context, VMSpec

__all__ = ["FromTemplate", "add_order", "read_template"]

_ON_MEDIUM = "/mnt/context/"
_SECRET = ("PASS", "SECRET", "TOKEN")


@dataclass(frozen=True, slots=True)
class FromTemplate:
    """Completes the context of a VM by what the template says, once its addresses are known."""

    template: Template
    known: Known
    networks: Sequence[Network]
    inputs: Inputs
    digest: str

    def __call__(self, spec: VMSpec, context: Context) -> Context:
        """See :class:`ims_core.service.order.Completion`."""
        facts = _facts(spec, self.known, self.networks)
        told = resolve(self.template, facts)
        scripts, files = self._scripts_and_files(told, facts)
        variables = {**told.variables, **context.properties, **context.secrets}
        hidden = {name for name in told.variables if any(word in name for word in _SECRET)}
        hidden = (hidden - {*context.properties}) | {*context.secrets}
        named_by_user = context.hostname != spec.name
        return replace(
            context,
            hostname=context.hostname if named_by_user else told.hostname or context.hostname,
            default_user=told.username or context.default_user,
            ssh_keys=tuple(dict.fromkeys((*context.ssh_keys, *told.ssh_keys))),
            properties={name: value for name, value in variables.items() if name not in hidden},
            secrets={name: value for name, value in variables.items() if name in hidden},
            files=(*context.files, *files),
            scripts=(*scripts, *context.scripts),
            user_data=told.user_data if context.user_data is None else context.user_data,
        )

    def _scripts_and_files(
        self, told: Contextualization, facts: Facts
    ) -> tuple[list[Script], list[File]]:
        files = {each.name: self.inputs.read("CONTEXT.FILES", each.path) for each in told.files}
        scripts = [] if told.start_script is None else [Script("START_SCRIPT", told.start_script)]
        if told.init_scripts != ("init.sh",):  # whoever mounts the medium runs that one by itself
            scripts += [Script(name, files[name]) for name in told.init_scripts]
        if told.token:
            password = self.known.user.get("TOKEN_PASSWORD", "")
            files[TOKEN_FILE] = token_txt(facts.vmid, int(time.time()), password)
        return scripts, [File(f"{_ON_MEDIUM}{name}", content) for name, content in files.items()]


def read_template(path: str, facts: str, networks: Iterable[Network]) -> FromTemplate:
    """Read a template, and the file of facts if there is one.

    Raises:
        InvalidError: One of them cannot be read or is not understood.
    """
    inputs = Inputs()
    content = inputs.read("--opennebula-template", path)
    known = inputs.read("--opennebula-facts", facts) if facts else b""
    digest = hashlib.sha256(hashlib.sha256(content).digest() + known).hexdigest()
    return FromTemplate(parse(content), known_from(known), tuple(networks), inputs, digest)


def add_order(order: dict[str, Any], source: FromTemplate) -> str:
    """Fill in what the template orders and the command line does not; returns the VM's name.

    Args:
        order: Words for :meth:`ims_core.Ims.create_vm`.
        source: The template.
    """
    wanted = machine(source.template)
    image = wanted.image or _by_number(source.known.images, "IMAGE", wanted.image_id, "DISK")
    cards = order["context"].interfaces or tuple(
        Interface(
            network=source.known.name_here(
                card.network or _by_number(source.known.networks, "NETWORK", card.network_id, "NIC")
            ),
            mac=card.mac.lower(),
            addresses=(card.ip,) if card.ip else (),
        )
        for card in wanted.cards
    )
    order |= {
        "template": order["template"] or image,
        "memory": order["memory"] or wanted.memory,
        "vcpus": (wanted.vcpus or None) if order["vcpus"] is None else order["vcpus"],
        "disk": order["disk"] or wanted.disk,
        "context": replace(order["context"], interfaces=cards),
        "completion": source,
    }
    return wanted.name


def _by_number(records: Sequence[Mapping[str, str]], key: str, number: str, where: str) -> str:
    """The name of what the template knows by a number; empty if it gives none."""
    if not number:
        return ""
    for each in records:
        if each.get(f"{key}_ID") == number and each.get(key):
            return each[key]
    raise InvalidError(
        f"{where}: {key}_ID {number} is not known",
        hint=f"Give {key} instead, or put both into the file of facts: [[{key.lower()}]]",
    )


def _facts(spec: VMSpec, known: Known, networks: Sequence[Network]) -> Facts:
    uid, gid = os.getuid(), os.getgid()
    cards = [_card(index, card, known) for index, card in enumerate(spec.interfaces)]
    of_cards = [
        {k: v for k, v in card.items() if k not in ("IP", "IP6", "MAC", "NIC_ID")} for card in cards
    ]
    image = {"IMAGE": spec.template.name, "FORMAT": spec.template.format}
    return Facts(
        vmid=UUID(spec.uuid).int % (1 << 31) if known.vmid is None else known.vmid,
        name=spec.name,
        uid=uid,
        uname=_name_of(pwd.getpwuid, uid),
        gid=gid,
        gname=_name_of(grp.getgrgid, gid),
        nics=cards,
        networks=_merged(
            "NETWORK", known.networks, [_network(each) for each in networks], of_cards
        ),
        images=_merged("IMAGE", known.images, [image]),
        user=known.user,
        files=known.files,
        onegate_endpoint=known.onegate_endpoint,
    )


def _card(index: int, card: Interface, known: Known) -> dict[str, str]:
    """As OpenNebula's ``NIC`` has it; what is not known yet is left out."""
    found = {"NIC_ID": str(index), "MAC": card.mac, "NETWORK": known.name_there(card.network)}
    for text in card.addresses:
        address = ip_interface(text)
        if address.version == 6:  # noqa: PLR2004
            found.setdefault("IP6", str(address.ip))
        elif "IP" not in found:
            found |= {
                "IP": str(address.ip),
                "NETWORK_ADDRESS": str(address.network.network_address),
                "NETWORK_MASK": str(address.network.netmask),
                "GATEWAY": next((each for each in card.gateways if ":" not in each), ""),
                "DNS": " ".join(card.nameservers),
            }
    return found


def _network(network: Network) -> dict[str, str]:
    subnet = next((each for each in map(ip_network, network.cidrs) if each.version == 4), None)  # noqa: PLR2004
    found = {"NETWORK": network.name, "DNS": " ".join(network.nameservers)}
    found["GATEWAY"] = next((each for each in network.gateways if ":" not in each), "")
    if subnet is not None:
        found["NETWORK_ADDRESS"] = str(subnet.network_address)
        found["NETWORK_MASK"] = str(subnet.netmask)
    return found


def _merged(key: str, *tables: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """One record for each name; an earlier table's word stands."""
    found: dict[str, dict[str, str]] = {}
    rest: list[Mapping[str, str]] = []
    for table in tables:
        for record in table:
            if name := record.get(key, ""):
                found[name] = {**record, **found.get(name, {})}
            else:
                rest.append(record)
    return [*found.values(), *rest]


def _name_of(look_up: Any, number: int) -> str:
    try:
        return str(look_up(number)[0])
    except KeyError:
        return ""  # as in a container
