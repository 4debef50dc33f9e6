"""The VM that a template orders.

What says how OpenNebula is to run it (``CPU``, ``OS``, ``GRAPHICS``, ``FEATURES``, ``SCHED_…``, …)
has no meaning here and is left aside. What the guest would miss is refused: further disks, further
addresses of a card, and devices of the host.

Source: OpenNebula's manual, "Virtual Machine Template".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from ims_bootparams.opennebula_template.syntax import Template

__all__ = ["Card", "Machine", "machine"]

_MIB = 1 << 20
_NUMBER = re.compile("[0-9]{1,12}")
_NOT_HERE = {"NIC_ALIAS": "a card has the addresses of one NIC", "PCI": "no device is passed on"}


@dataclass(frozen=True, slots=True)
class Card:
    """A network card; what is empty is left to whoever makes the VM.

    Attributes:
        network: Name of its network.
        network_id: Number of its network, where the template gives that.
        ip: The address that it asks for.
        mac: The MAC that it asks for.
    """

    network: str = ""
    network_id: str = ""
    ip: str = ""
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """A VM as a template orders it; what is empty or 0 is not said there.

    Attributes:
        name: The template's.
        memory: Bytes.
        vcpus: Virtual CPUs.
        image: Name of the image of its disk.
        image_id: Number of that image, where the template gives that.
        disk: Bytes of its disk.
        cards: In order.
    """

    name: str = ""
    memory: int = 0
    vcpus: int = 0
    image: str = ""
    image_id: str = ""
    disk: int = 0
    cards: tuple[Card, ...] = ()


def machine(template: Template) -> Machine:
    """What VM a template orders.

    Raises:
        InvalidError: A size is no number, or it orders what IMS does not make.
    """
    for name, problem in _NOT_HERE.items():
        if template.vectors(name):
            raise InvalidError(f"{name}: {problem}", hint="Remove it.")
    disks = template.vectors("DISK")
    if len(disks) > 1:
        raise InvalidError(f"DISK: there are {len(disks)}, and a VM has one", hint="Keep one.")
    disk = disks[0] if disks else {}
    return Machine(
        name=template.single("NAME"),
        memory=_number("MEMORY", template.single("MEMORY")) * _MIB,
        vcpus=_number("VCPU", template.single("VCPU")),
        image=disk.get("IMAGE", ""),
        image_id=disk.get("IMAGE_ID", ""),
        disk=_number("DISK.SIZE", disk.get("SIZE", "")) * _MIB,
        cards=tuple(
            Card(*(nic.get(key, "") for key in ("NETWORK", "NETWORK_ID", "IP", "MAC")))
            for nic in template.vectors("NIC")
        ),
    )


def _number(field: str, text: str) -> int:
    if not text:
        return 0
    if not _NUMBER.fullmatch(text) or int(text) == 0:
        hint = "Give a whole number; memory and disks are in MiB."
        raise InvalidError(f"{field}: {text!r} is no number above 0", hint=hint)
    return int(text)
