"""Removing what was made: by the resource for an undo, and by the VM for a delete.

A volume is ours when its name contains the operation id, a domain when its mark does, a DHCP host
entry when MAC, name and address are those announced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import libvirt

from ims_core.spi import Discarded
from ims_kvm.domain import cards_of
from ims_kvm.mark import read_mark
from ims_kvm.networks import HostEntry, is_managed

if TYPE_CHECKING:
    from ims_core.models import Resource
    from ims_kvm.networks import Networks
    from ims_kvm.provider import KvmProvider
    from ims_kvm.volumes import StoragePool

__all__ = ["discard", "power_off", "remove_vm", "resource_name"]

_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


def resource_name(network: str, entry: HostEntry, operation: str) -> str:
    """The name under which a DHCP host entry is announced."""
    return f"{network}/{entry.mac}/{entry.address}/{entry.name}/{operation}"


def discard(provider: KvmProvider, resource: Resource) -> Discarded:
    """Remove one announced resource if it is there and ours."""
    if not resource.operation:
        return Discarded.NOT_OURS
    if resource.kind == "domain":
        return _discard_domain(provider, resource)
    if resource.operation not in resource.name:
        return Discarded.NOT_OURS
    if resource.kind == "dhcp-host":
        return _discard_entry(provider.networks, resource)
    if resource.kind == "manifest":
        return _discard_manifest(provider, resource)
    return _discard_volume(provider.pool, resource.name)


def remove_vm(provider: KvmProvider, uuid: str) -> None:
    """Power a VM off and remove its reservations, its volumes and, last, its domain."""
    domain = _find(provider.connection, uuid)
    if domain is None:
        return
    mark = read_mark(domain)
    power_off(domain)
    _release_addresses(provider.networks, domain)
    if mark is not None:
        pool = provider.storage_of(domain)
        for volume in pool.names(refresh=True):
            if f"-{mark.operation}." in volume:
                pool.delete(volume)
    domain.undefineFlags(_UNDEFINE)


def power_off(domain: libvirt.virDomain) -> None:
    """Take the power away; nothing to do when it is off."""
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise


def _find(connection: libvirt.virConnect, uuid: str) -> libvirt.virDomain | None:
    try:
        return connection.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return None


def _release_addresses(networks: Networks, domain: libvirt.virDomain) -> None:
    for mac, network in cards_of(domain.XMLDesc()).networks.items():
        if is_managed(network):
            for entry in networks.entries(network):
                if entry.mac == mac:
                    networks.remove(network, entry)


def _discard_domain(provider: KvmProvider, resource: Resource) -> Discarded:
    domain = _find(provider.connection, resource.name)
    if domain is None:
        return Discarded.ABSENT
    mark = read_mark(domain)
    if mark is None or mark.operation != resource.operation:
        return Discarded.NOT_OURS
    power_off(domain)
    domain.undefineFlags(_UNDEFINE)
    return Discarded.REMOVED


def _discard_entry(networks: Networks, resource: Resource) -> Discarded:
    network, mac, address, name, _ = resource.name.split("/")
    entry = HostEntry(mac, name, address)
    if entry in networks.entries(network):
        networks.remove(network, entry)
        return Discarded.REMOVED
    return Discarded.ABSENT


def _discard_manifest(provider: KvmProvider, resource: Resource) -> Discarded:
    volume = resource.name.partition("/")[0]
    if volume not in provider.pool.names():
        return Discarded.ABSENT
    if not provider.templates.belongs_to(volume, resource.operation):
        return Discarded.NOT_OURS
    provider.pool.delete(volume)
    return Discarded.REMOVED


def _discard_volume(pool: StoragePool, name: str) -> Discarded:
    """Remove a volume, and with a console's log its older files (``NAME.0``, …)."""
    found = [
        each for each in pool.names(refresh=True) if each == name or each.startswith(f"{name}.")
    ]
    for each in found:
        pool.delete(each)
    return Discarded.REMOVED if found else Discarded.ABSENT
