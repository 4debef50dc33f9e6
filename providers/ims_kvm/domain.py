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
    from xml.etree.ElementTree import Element

    from ims_core.models import Interface, Mark, VMSpec
    from ims_kvm.volumes import Paths

__all__ = ["AGENT_PORT", "RECEIPT_PORT", "build", "cards_of", "cd_with", "files_of"]

RECEIPT_PORT = "org.ims.receipt.0"
AGENT_PORT = "org.qemu.guest_agent.0"
BALLOON_PERIOD = 2  # seconds between the guest's reports of the memory it uses

for prefix, namespace in PREFIXES.items():
    ET.register_namespace(prefix, namespace)


def build(spec: VMSpec, mark: Mark, paths: Paths, carrier: Carrier, *, accelerated: bool) -> str:
    """The domain's XML.

    Args:
        spec: The VM, prepared.
        mark: Goes into its metadata.
        paths: Where its files lie on the hypervisor's host.
        carrier: What kind of medium the seed is.
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
    features = ET.SubElement(domain, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    ET.SubElement(domain, "cpu", mode="host-passthrough" if accelerated else "maximum")
    ET.SubElement(domain, "clock", offset="utc")
    _text(domain, "on_poweroff", "destroy")
    _text(domain, "on_reboot", "restart")
    _text(domain, "on_crash", "destroy")
    domain.append(_devices(spec, paths, carrier))
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


def cd_with(path: str) -> str:
    """The CD drive that every VM with an ISO has, with this image in it."""
    return ET.tostring(_seed(path, Carrier.ISO), encoding="unicode")


def _devices(spec: VMSpec, paths: Paths, carrier: Carrier) -> Element:
    devices = ET.Element("devices")
    devices.append(_disk(spec, paths))
    devices.append(_seed(paths.seed, carrier))
    if carrier is Carrier.ISO:
        ET.SubElement(devices, "controller", type="scsi", index="0", model="virtio-scsi")
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


def _seed(path: str, carrier: Carrier) -> Element:
    cd = carrier is Carrier.ISO
    disk = ET.Element("disk", type="file", device="cdrom" if cd else "disk")
    ET.SubElement(disk, "driver", name="qemu", type="raw")
    ET.SubElement(disk, "source", file=path)
    # SCSI, because the kernels of some distributions' cloud images have no driver for SATA.
    target = {"dev": "sda", "bus": "scsi"} if cd else {"dev": "vdb", "bus": "virtio"}
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
