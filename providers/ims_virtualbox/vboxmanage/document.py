"""VirtualBox's settings files: the list of machines, and each machine's ``NAME.vbox``.

VirtualBox writes them whenever something changes. One request reads those of all machines, where
VBoxManage takes a seventh of a second to tell of one; nothing is ever written to them. Source:
``src/VBox/Main/xml/VirtualBox-settings.xsd``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as Defused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree.ElementTree import Element

__all__ = ["Adapter", "Document", "Forward", "Taken", "read_document", "read_registry"]

_LARGEST = 8 << 20
# The lookup is that of an encoding that nobody knows.
_BAD = (Defused.ParseError, DefusedXmlException, ValueError, LookupError, RecursionError)
_MAC_DIGITS = 12
_KINDS = {
    "NAT": "nat",
    "NATNetwork": "natnetwork",
    "BridgedInterface": "bridged",
    "HostOnlyInterface": "hostonly",
    "HostOnlyNetwork": "hostonlynet",
    "InternalNetwork": "intnet",
}


@dataclass(frozen=True, slots=True)
class Forward:
    """A port of the host that leads to one of the guest's."""

    name: str
    host_ip: str
    host_port: int
    guest_port: int


@dataclass(frozen=True, slots=True)
class Adapter:
    """A network card that is plugged in.

    Attributes:
        slot: From 0 on.
        mac: With colons.
        network: As :class:`ims_core.models.Interface` has it, ``nat`` or ``bridged:eth0``.
        forwards: Of NAT.
    """

    slot: int
    mac: str
    network: str
    forwards: tuple[Forward, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot as the file has it.

    Attributes:
        uuid: Its UUID.
        name: Not always unique.
        description: Any text.
        taken: Seconds since the epoch.
        memory: Whether the memory of the machine is in it.
    """

    uuid: str
    name: str
    description: str
    taken: float
    memory: bool


@dataclass(frozen=True, slots=True)
class Document:
    """What IMS reads of a settings file.

    Attributes:
        uuid: The machine's.
        name: The machine's.
        resting: Its state while no process runs it, as ``--machinereadable`` has it.
        memory: MiB.
        cpus: How many.
        extra: VirtualBox's "extra data": texts of anybody's by key.
        properties: Guest properties as they were when the file was written.
        adapters: The cards that are plugged in.
        disks: Paths of all its hard disks and of what they depend on, by UUID, as they are written.
        root: UUID of the first hard disk that is attached; empty if there is none.
        drive: Path of the CD that is in the first drive; empty if there is none.
        discs: Paths of the CDs that the machine or a snapshot of it has.
        snapshots: Older ones first.
        current: UUID of the snapshot that the machine's disks depend on.
    """

    uuid: str
    name: str
    resting: str
    memory: int
    cpus: int
    extra: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    adapters: tuple[Adapter, ...] = ()
    disks: Mapping[str, str] = field(default_factory=dict)
    root: str = ""
    drive: str = ""
    discs: tuple[str, ...] = ()
    snapshots: tuple[Taken, ...] = ()
    current: str = ""


def read_document(content: bytes) -> Document | None:
    """What a settings file says; None if it is none."""
    try:
        machine = _parsed(content).find("Machine")
        return None if machine is None else _document(machine)
    except _BAD:
        return None


def read_registry(content: bytes, home: str) -> dict[str, str] | None:
    """The paths of all machines' settings files by UUID, out of ``VirtualBox.xml``.

    Args:
        content: Of that file.
        home: Where it lies; paths may be relative to that.

    Returns:
        None if it is no such file.
    """
    try:
        entries = _parsed(content).iterfind("Global/MachineRegistry/MachineEntry")
        paths = {_uuid(each): each.get("src", "") for each in entries if each.get("src")}
    except _BAD:
        return None
    return {
        uuid: path if path.startswith("/") else f"{home}/{path}"
        for uuid, path in paths.items()
        if uuid
    }


def _parsed(content: bytes) -> Element:
    if len(content) > _LARGEST:
        raise ValueError("too large for a settings file")
    root = Defused.fromstring(content, forbid_dtd=True)
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
    return root


def _resting(machine: Element) -> str:
    aborted, saved = machine.get("aborted") == "true", bool(machine.get("stateFile"))
    if saved:
        return "aborted-saved" if aborted else "saved"
    return "aborted" if aborted else "poweroff"


def _document(machine: Element) -> Document:
    hardware = _one(machine, "Hardware")
    media = _one(machine, "MediaRegistry")
    discs = {_uuid(each): each.get("location", "") for each in media.iterfind("DVDImages/Image")}
    attached = [
        (each.get("type", ""), _uuid(image))
        # Until VirtualBox 7 they stood beside the hardware.
        for parent in (hardware, machine)
        for each in parent.iterfind("StorageControllers/StorageController/AttachedDevice")
        for image in each.iterfind("Image")
    ]
    drive = next((uuid for kind, uuid in attached if kind == "DVD"), "")
    return Document(
        uuid=_uuid(machine),
        name=machine.get("name", ""),
        resting=_resting(machine),
        memory=int(_one(hardware, "Memory").get("RAMSize", "0")),
        cpus=int(_one(hardware, "CPU").get("count", "1")),
        extra={
            each.get("name", ""): each.get("value", "")
            for each in machine.iterfind("ExtraData/ExtraDataItem")
        },
        properties={
            each.get("name", ""): each.get("value", "")
            for each in hardware.iterfind("GuestProperties/GuestProperty")
        },
        adapters=tuple(_adapters(hardware)),
        disks={_uuid(each): each.get("location", "") for each in media.iter("HardDisk")},
        root=next((uuid for kind, uuid in attached if kind == "HardDisk"), ""),
        drive=discs.get(drive, ""),
        discs=tuple(dict.fromkeys(discs[uuid] for uuid in _in_drives(machine) if uuid in discs)),
        snapshots=tuple(sorted(_snapshots(machine), key=lambda each: each.taken)),
        current=machine.get("currentSnapshot", "").strip("{}").lower(),
    )


def _in_drives(machine: Element) -> Iterator[str]:
    """UUIDs of the CDs in drives, in snapshots too; the list of media keeps those of before."""
    for each in machine.iter("AttachedDevice"):
        if each.get("type") == "DVD":
            yield from (_uuid(image) for image in each.iterfind("Image"))


def _adapters(hardware: Element) -> Iterator[Adapter]:
    for each in hardware.iterfind("Network/Adapter"):
        if each.get("enabled") != "true":
            continue
        how = next((child for child in each if child.tag in _KINDS), None)
        mac = each.get("MACAddress", "").lower()
        if how is None or len(mac) != _MAC_DIGITS:
            continue
        kind, name = _KINDS[how.tag], how.get("name", "")
        yield Adapter(
            slot=int(each.get("slot", "0")),
            mac=":".join(mac[place : place + 2] for place in range(0, _MAC_DIGITS, 2)),
            network=kind if kind == "nat" else f"{kind}:{name}",
            forwards=tuple(_forwards(how)),
        )


def _forwards(nat: Element) -> Iterator[Forward]:
    for each in nat.iterfind("Forwarding"):
        ports = int(each.get("hostport", "0")), int(each.get("guestport", "0"))
        yield Forward(each.get("name", ""), each.get("hostip", ""), *ports)


def _snapshots(element: Element) -> Iterator[Taken]:
    for each in [*element.iterfind("Snapshot"), *element.iterfind("Snapshots/Snapshot")]:
        taken = datetime.fromisoformat(each.get("timeStamp", ""))
        yield Taken(
            uuid=_uuid(each),
            name=each.get("name", ""),
            description=each.findtext("Description", ""),
            taken=taken.timestamp(),
            memory=bool(each.get("stateFile")),
        )
        yield from _snapshots(each)


def _uuid(element: Element) -> str:
    return element.get("uuid", "").strip("{}").lower()


def _one(element: Element, name: str) -> Element:
    """The element of that name; one without anything in it where there is none."""
    found = element.find(name)
    return found if found is not None else element.makeelement(name, {})
