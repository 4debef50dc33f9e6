"""A VM's vm.cfg, made of its template's: in xm's dialect, which is Python's literals."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ims_dom0.vmcfg import to_xl, write_xl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_dom0.vmcfg import Value

__all__ = ["Card", "Order", "SeedFolder", "for_xl", "images", "needed", "vm_file"]

_DISK_PATH = re.compile(r"(?:[a-z]+:)*(?P<path>[^,:]+)(?P<rest>,.*)")


@dataclass(frozen=True, slots=True)
class Card:
    """A network card; without an address it gets one."""

    mac: str
    bridge: str


@dataclass(frozen=True, slots=True)
class Order:
    """What the VM's file says that the template's does not.

    Attributes:
        domain: Xen's name for it, which is its folder's, too.
        memory: MiB.
        folder: Where its images are.
    """

    domain: str
    name: str
    uuid: str
    memory: int
    cpus: int
    vnc_password: str
    cards: tuple[Card, ...]
    folder: str


@dataclass(frozen=True, slots=True)
class SeedFolder:
    """A template's folder: where it is here, though its vm.cfg may have been made elsewhere."""

    path: str

    def file(self, path: str) -> str | None:
        """The name in this folder that a path in the vm.cfg means; None: it is not of a template.

        A vm.cfg names its files by the folder that its maker had, so only the last part counts.
        """
        pool = PurePosixPath(self.path).parent
        parts = PurePosixPath(path)
        return parts.name if len(parts.parts) > 1 and parts.parent.parent == pool else None


def images(template: Mapping[str, Value], seed: SeedFolder) -> list[str]:
    """The files of the template that its disks are."""
    matches = (_DISK_PATH.fullmatch(entry) for entry in _texts(template, "disk"))
    return [name for match in matches if match and (name := seed.file(match["path"]))]


def needed(template: Mapping[str, Value], seed: SeedFolder) -> list[str]:
    """All files that the template must have: its images, and what it boots from its folder."""
    boot = (value for key in ("kernel", "ramdisk") if isinstance(value := template.get(key), str))
    return [*images(template, seed), *(name for path in boot if (name := seed.file(path)))]


def vm_file(template: Mapping[str, Value], order: Order, seed: SeedFolder) -> str:
    """The text of a new VM's vm.cfg; what boots it stays where the template has it."""
    screen = f"type=vnc,vncunused=1,vnclisten=0.0.0.0,vncpasswd={order.vnc_password}"
    values: dict[str, Value] = {
        **template,
        "name": order.domain,
        "uuid": order.uuid,
        "memory": order.memory,
        "maxmem": order.memory,
        "vcpus": order.cpus,
        "disk": tuple(_moved(entry, order, seed) for entry in _texts(template, "disk")),
        "vif": tuple(_card(card) for card in order.cards),
        "vif_other_config": (),
        "vfb": (screen,),
        "OVM_SIMPLE_NAME": order.name,
    }
    return "".join(f"{key} = {_literal(value)}\n" for key, value in values.items())


def for_xl(vm: Mapping[str, Value]) -> str:
    """The file from which xl makes what xm would have made of a vm.cfg."""
    values = to_xl(vm)
    values.pop("vfb", None)  # Debian's QEMU for Xen has no VNC passwords
    if str(values.get("bootloader")).endswith("/pygrub"):
        values["bootloader"] = "pygrub"  # Xen has it elsewhere by now, and knows where
    return write_xl(values)


def _texts(cfg: Mapping[str, Value], key: str) -> list[str]:
    value = cfg.get(key, ())
    return [str(item) for item in value] if isinstance(value, tuple) else []


def _moved(entry: str, order: Order, seed: SeedFolder) -> str:
    match = _DISK_PATH.fullmatch(entry)
    name = match and seed.file(match["path"])
    return f"file:{order.folder}/{name}{match['rest']}" if match and name else entry


def _card(card: Card) -> str:
    mac = card.mac or "00:16:3E:" + secrets.token_bytes(3).hex(":").upper()
    return f"mac={mac},bridge={card.bridge},type=netfront"


def _literal(value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_literal(item) for item in value)}]"
    return repr(value)
