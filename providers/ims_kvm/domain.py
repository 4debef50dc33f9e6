"""Domain XML: built for a new VM, and read back for what must be known of one.

Disks are ``type='file'`` and not ``type='volume'``, so that libvirt's security drivers can label
them. Every backing file has its format and an explicit end of the chain, so that nothing a guest
writes into its disk is ever taken for an image header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from defusedxml.ElementTree import fromstring

from ims_core.models import Carrier
from ims_kvm.mark import PREFIXES, mark_element, storage_element

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

    from ims_core.models import Delivery, Interface, Mark, VMSpec
    from ims_kvm.volumes import Paths

__all__ = [
    "AGENT_PORT",
    "RECEIPT_PORT",
    "build",
    "cards_of",
    "cd_with",
    "files_of",
    "has_system_information",
    "system_information",
]

RECEIPT_PORT = "org.ims.receipt.0"
AGENT_PORT = "org.qemu.guest_agent.0"
BALLOON_PERIOD = 2  # seconds between the guest's reports of the memory it uses

for prefix, namespace in PREFIXES.items():
    ET.register_namespace(prefix, namespace)


def build(spec: VMSpec, mark: Mark, paths: Paths, delivery: Delivery, *, accelerated: bool) -> str:
    """The domain's XML.

    Args:
        spec: The VM, prepared.
        mark: Goes into its metadata.
        paths: Where its files lie on the hypervisor's host.
        delivery: How the context comes: on which kinds of media, or in the firmware's tables.
        accelerated: Use KVM; otherwise QEMU's emulation.
    """
    domain = ET.Element("domain", type="kvm" if accelerated else "qemu")
    _text(domain, "name", spec.name)
    _text(domain, "uuid", spec.uuid)
    metadata = ET.SubElement(domain, "metadata")
    metadata.append(mark_element(mark, qualified=True))
    metadata.append(storage_element(paths.pool))
    _text(domain, "memory", str(spec.memory), unit="b")
    _text(domain, "vcpu", str(spec.vcpus))
    system = ET.SubElement(domain, "os")
    _text(system, "type", "hvm", arch="x86_64", machine="q35")
    ET.SubElement(system, "boot", dev="hd")
    if delivery.carrier is Carrier.SMBIOS:
        ET.SubElement(system, "smbios", mode="sysinfo")
        domain.append(system_information(delivery.values))
    features = ET.SubElement(domain, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    ET.SubElement(domain, "cpu", mode="host-passthrough" if accelerated else "maximum")
    ET.SubElement(domain, "clock", offset="utc")
    _text(domain, "on_poweroff", "destroy")
    _text(domain, "on_reboot", "restart")
    _text(domain, "on_crash", "destroy")
    domain.append(_devices(spec, paths, delivery))
    ET.indent(domain)
    return ET.tostring(domain, encoding="unicode")


def cards_of(xml: str) -> dict[str, str]:
    """The MACs of a domain's network cards in order, each with its libvirt network or nothing."""
    found = {}
    for interface in fromstring(xml).iterfind("devices/interface"):
        mac, source = interface.find("mac"), interface.find("source")
        if mac is not None:
            network = source.get("network", "") if source is not None else ""
            found[mac.get("address", "").lower()] = network
    return found


def files_of(xml: str) -> frozenset[str]:
    """The files that a domain's disks are made of, backing files included."""
    sources = fromstring(xml).iterfind("devices/disk//source")
    return frozenset(source.get("file", "") for source in sources)


def has_system_information(xml: str) -> bool:
    """Whether a domain learns its context from its firmware's tables, and so has no medium."""
    return fromstring(xml).find("sysinfo[@type='smbios']") is not None


def cd_with(path: str, *, second: bool) -> str:
    """The first or second CD drive of a VM that has it, with this image in it."""
    return ET.tostring(_cd(path, "sdb" if second else "sda"), encoding="unicode")


def system_information(values: Mapping[str, str]) -> Element:
    """What the firmware's tables are to say of the system."""
    sysinfo = ET.Element("sysinfo", type="smbios")
    system = ET.SubElement(sysinfo, "system")
    for name, value in values.items():
        _text(system, "entry", value, name=name)
    return sysinfo


def _devices(spec: VMSpec, paths: Paths, delivery: Delivery) -> Element:
    devices = ET.Element("devices")
    devices.append(_disk(spec, paths))
    if delivery.carrier is Carrier.ISO:
        devices.append(_cd(paths.seed, "sda"))
        if delivery.overlay:
            devices.append(_cd(paths.overlay, "sdb"))
        ET.SubElement(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    elif delivery.carrier.is_medium:
        devices.append(_medium(paths.seed, "disk", dev="vdb", bus="virtio"))
    for card in spec.interfaces:
        devices.append(_interface(card))
    serial = ET.SubElement(devices, "serial", type="pty")
    # virtlogd writes the log, and bounds it: 2 MiB and three older files by default.
    ET.SubElement(serial, "log", file=paths.console, append="off")
    ET.SubElement(serial, "target", port="0")
    channel = ET.SubElement(devices, "channel", type="file")
    ET.SubElement(channel, "source", path=paths.receipt, append="off")
    ET.SubElement(channel, "target", type="virtio", name=RECEIPT_PORT)
    agent = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(agent, "target", type="virtio", name=AGENT_PORT)
    balloon = ET.SubElement(devices, "memballoon", model="virtio")
    ET.SubElement(balloon, "stats", period=str(BALLOON_PERIOD))
    rng = ET.SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    ET.SubElement(ET.SubElement(devices, "video"), "model", type="none")
    return devices


def _disk(spec: VMSpec, paths: Paths) -> Element:
    disk = ET.Element("disk", type="file", device="disk")
    ET.SubElement(disk, "driver", name="qemu", type="qcow2", discard="unmap")
    ET.SubElement(disk, "source", file=paths.root)
    backing = ET.SubElement(disk, "backingStore", type="file")
    ET.SubElement(backing, "format", type=spec.template.format)
    ET.SubElement(backing, "source", file=paths.template)
    ET.SubElement(backing, "backingStore")
    ET.SubElement(disk, "target", dev="vda", bus="virtio")
    return disk


def _cd(path: str, dev: str) -> Element:
    """A drive on SCSI: the kernels of some distributions' cloud images have no driver for SATA."""
    return _medium(path, "cdrom", dev=dev, bus="scsi")


def _medium(path: str, device: str, **target: str) -> Element:
    disk = ET.Element("disk", type="file", device=device)
    ET.SubElement(disk, "driver", name="qemu", type="raw")
    ET.SubElement(disk, "source", file=path)
    ET.SubElement(disk, "target", target)
    ET.SubElement(disk, "readonly")
    return disk


def _interface(card: Interface) -> Element:
    kind, _, bridge = card.network.partition(":")
    if kind == "bridge" and bridge:
        interface = ET.Element("interface", type="bridge")
        ET.SubElement(interface, "source", bridge=bridge)
    elif card.network == "user":
        interface = ET.Element("interface", type="user")
    else:
        interface = ET.Element("interface", type="network")
        ET.SubElement(interface, "source", network=card.network)
    ET.SubElement(interface, "mac", address=card.mac)
    ET.SubElement(interface, "model", type="virtio")
    return interface


def _text(parent: Element, tag: str, text: str, **attributes: str) -> Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element
