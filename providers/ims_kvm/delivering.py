"""The delivery of a VM that exists: putting another in its place, before a start or meanwhile.

A medium has two volumes, of which the VM uses one. A running guest gets another medium in its CD
drive: it is written whole beside the old one, then the drive is told, then the mark, then the old
one goes. So whenever this is cut short the VM has a whole medium, and doing it again comes to the
same end. Where there are two media, a running guest gets the second anew and keeps the first.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import libvirt
from defusedxml.ElementTree import fromstring

from ims_core.errors import ConflictError, ImsError, UnsupportedError
from ims_core.models import Carrier
from ims_kvm.domain import cd_with, files_of, system_information
from ims_kvm.mark import read_mark, write_mark
from ims_kvm.volumes import VolumeNames

if TYPE_CHECKING:
    from ims_core.models import Delivery, Mark
    from ims_kvm.volumes import StoragePool

__all__ = ["deliver", "deliver_live", "in_use"]

_BOTH = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG


def deliver(pool: StoragePool, domain: libvirt.virDomain, mark: Mark, delivery: Delivery) -> None:
    """Put a delivery in place of the one of a VM that is off, and note it in the mark."""
    names = VolumeNames(domain.name(), mark.operation)
    if delivery.carrier is Carrier.SMBIOS:
        _redefine(domain, delivery)
    else:
        pool.write(in_use(domain, names.seeds), delivery.medium)
    if delivery.overlay:
        pool.write(in_use(domain, names.overlays), delivery.overlay)
    write_mark(domain, replace(mark, digest=delivery.digest, nonce=delivery.nonce))


def in_use(domain: libvirt.virDomain, volumes: tuple[str, str]) -> str:
    """Which of the two volumes of a medium the VM has."""
    first, second = volumes
    used = {path.rpartition("/")[2] for path in files_of(domain.XMLDesc())}
    return second if second in used else first


def deliver_live(pool: StoragePool, domain: libvirt.virDomain, delivery: Delivery) -> None:
    """Change a CD of a running VM for one with this delivery.

    Raises:
        ConflictError: ``vm-not-running``.
        UnsupportedError: ``carrier-impossible``: nothing else can be changed under a guest.
    """
    mark = read_mark(domain)
    if mark is None or not domain.isActive():
        raise ConflictError(
            f"VM {domain.name()!r} is not running", code="vm-not-running", vm=domain.name()
        )
    if delivery.carrier is not Carrier.ISO:
        raise UnsupportedError(
            f"what a guest has by {delivery.carrier} cannot be changed while the VM runs",
            code="carrier-impossible",
            hint="the new context takes effect at the next start",
        )
    names, second = VolumeNames(domain.name(), mark.operation), bool(delivery.overlay)
    volumes = names.overlays if second else names.seeds
    old = in_use(domain, volumes)
    new = next(name for name in volumes if name != old)
    pool.delete(new)  # what an interrupted update left
    pool.write(new, delivery.overlay or delivery.medium)
    _insert(domain, cd_with(pool.path_of(new), second=second))
    write_mark(domain, replace(mark, digest=delivery.digest, nonce=delivery.nonce))
    # The guest has it: what is left of the old one goes with the next update, or with the VM. And
    # somebody else may have made that one the VM's again meanwhile.
    with suppress(ImsError, libvirt.libvirtError):
        if in_use(domain, volumes) != old:
            pool.delete(old)


def _insert(domain: libvirt.virDomain, cd: str) -> None:
    """Put another CD in; a guest that holds the drive's door closed is not asked twice."""
    try:
        domain.updateDeviceFlags(cd, _BOTH)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_FAILED:
            raise
        domain.updateDeviceFlags(cd, _BOTH | libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE)


def _redefine(domain: libvirt.virDomain, delivery: Delivery) -> None:
    """Give a domain other values in its firmware's tables, and nothing else."""
    definition = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE
    root = fromstring(domain.XMLDesc(definition))
    system = root.find("sysinfo[@type='smbios']/system")
    if system is None:
        root.append(system_information(delivery.values))
    else:  # others may have said more there
        for old in system.findall("entry"):
            if old.get("name") in delivery.values:
                system.remove(old)
        system.extend(system_information(delivery.values).iterfind("system/entry"))
    domain.connect().defineXML(ET.tostring(root, encoding="unicode"))
