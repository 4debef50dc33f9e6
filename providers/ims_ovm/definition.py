"""The vm.cfg of a VM or a template: what the Manager wrote, with what was ordered put right."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError
from ims_dom0.vmcfg import parse, parse_disk, write_xm

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ims_core.models import Interface, VMSpec
    from ims_dom0.vmcfg import Value

__all__ = ["own_disks", "template_config", "vm_config"]

CONFIG = "vm.cfg"

_MIB = 1 << 20
_PLACE = re.compile(r"((?:[a-z]+:)*)(/[^,]*)(,.*)?")
_CARD_WORDS = re.compile(r"^\s*(mac|bridge)=")
_PROGRAMS = ("bootloader", "device_model", "kernel", "ramdisk")
_XEN_S = re.compile(r"pygrub|/usr/(bin|lib(64)?/xen/(bin|boot))/(pygrub|hvmloader|qemu-dm)")
_DEVICES = frozenset({"iomem", "ioports", "irq", "pci", "vscsi", "vtpm"})
# What the guest's kernel is told, and what is told to nobody but people.
_GUEST_S = re.compile(r"root|extra|OVM_.*")
_PATH = re.compile(r"(^|[^A-Za-z0-9._-])[.~]*/|\b(exec|file|host|mon|pipe|tcp|telnet|udp|unix):|\|")


def vm_config(text: str, spec: VMSpec, folder: str, files: Collection[str], *, cards: bool) -> str:
    """The vm.cfg of a new VM: its disks in its own folder, its cards, memory and CPUs as ordered.

    Args:
        text: As the Manager wrote it.
        spec: The order.
        folder: The VM's, whole path.
        files: The names of the files in it.
        cards: Whether those of the order are written, or the Manager's stay.

    Raises:
        InvalidError: The file cannot be understood.
    """
    values = dict(parse(text))
    values["disk"] = tuple(_moved(str(each), folder, files) for each in _entries(values, "disk"))
    values["memory"] = -(-spec.memory // _MIB)
    values["maxmem"] = max(_number(values, "maxmem"), -(-spec.memory // _MIB))
    values["vcpus"] = spec.vcpus
    if cards:
        values["vif"] = _cards(_entries(values, "vif"), spec.interfaces)
    return write_xm(values)


def template_config(text: str, folder: str, files: Collection[str]) -> str:
    """The vm.cfg of a template whose files lie in that folder.

    Whoever made the archive may be anybody. So no VM is handed anything of the dom0 by it but those
    files, and nothing of the dom0 runs for it but Xen's own programs.

    Raises:
        InvalidError: The file cannot be understood, or names what is not in the archive.
    """
    values = dict(parse(text))
    disks = [str(each) for each in _entries(values, "disk")]
    if not disks:
        raise InvalidError(
            f"{CONFIG}: it names no disk", hint="add disk=['file:…/System.img,xvda,w']"
        )
    values["disk"] = tuple(_own(each, folder, files) for each in disks)
    for key, value in values.items():
        if key in _DEVICES:
            raise _refusal(key, "hands a device of the dom0 to the VM")
        if key in _PROGRAMS and not isinstance(value, tuple):
            values[key] = _program(key, str(value), folder, files)
        elif key != "disk" and not _GUEST_S.fullmatch(key):
            _refuse_paths(key, value)
    return write_xm(values)


def _own(entry: str, folder: str, files: Collection[str]) -> str:
    """An entry of ``disk`` that names a file of the archive, or nothing."""
    moved = _moved(entry, folder, files)
    target = parse_disk(moved).target
    where, _, name = target.rpartition("/")
    if target and (where != folder or name not in files):
        raise InvalidError(
            f"{CONFIG}: it names the disk {target[:100]!r}, which the archive has not",
            hint=f"name one as file:/PATH/NAME,xvda,w; it has: {', '.join(sorted(files))}",
        )
    return moved


def _program(key: str, path: str, folder: str, files: Collection[str]) -> str:
    """What boots or drives a VM: Xen's own, or a file of the archive that is only data."""
    name = path.rpartition("/")[2]
    if key in ("kernel", "ramdisk") and name in files:
        return f"{folder}/{name}"
    if path and not _XEN_S.fullmatch(path):
        raise _refusal(key, f"names {path[:100]!r}, which is neither Xen's nor in the archive")
    return path


def _refuse_paths(key: str, value: Value) -> None:
    if isinstance(value, tuple):
        for each in value:
            _refuse_paths(key, each)
    elif _PATH.search(str(value)):
        raise _refusal(key, f"names a path of the dom0, {str(value)[:100]!r}")


def _refusal(key: str, why: str) -> InvalidError:
    return InvalidError(f"{CONFIG}: {key} {why}", hint="remove it from the template")


def own_disks(text: str, folder: str) -> tuple[str, ...]:
    """The names of the disks in that folder."""
    targets = [parse_disk(str(each)).target for each in _entries(parse(text), "disk")]
    return tuple(
        name for path in targets for where, _, name in [path.rpartition("/")] if where == folder
    )


def _moved(entry: str, folder: str, files: Collection[str]) -> str:
    """An entry of xm's ``disk`` that names a file of the folder by its whole path."""
    match = _PLACE.fullmatch(entry)
    name = match[2].rpartition("/")[2] if match else ""
    if not match or name not in files:
        return entry
    return f"{match[1]}{folder}/{name}{match[3] or ''}"


def _cards(entries: Sequence[Value], cards: Sequence[Interface]) -> tuple[str, ...]:
    """The ordered cards, with whatever else the Manager wrote of such a card."""
    found = []
    for number, card in enumerate(cards):
        like = str(entries[min(number, len(entries) - 1)]) if entries else ""
        kept = [word for word in like.split(",") if word.strip() and not _CARD_WORDS.match(word)]
        found.append(",".join([f"mac={card.mac.upper()}", f"bridge={card.network}", *kept]))
    return tuple(found)


def _entries(values: Mapping[str, Value], key: str) -> tuple[Value, ...]:
    found = values.get(key, ())
    return found if isinstance(found, tuple) else (found,)


def _number(values: Mapping[str, Value], key: str) -> int:
    value = values.get(key, 0)
    return value if isinstance(value, int) else 0
