"""Removing what was made: by the resource for an undo, and by the VM for a delete.

A volume is ours when its name contains the operation id, a domain when its mark does, a DHCP host
entry when MAC, name and address are those announced.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import libvirt

from ims_core.spi import Discarded
from ims_kvm.domain import cards_of
from ims_kvm.mark import read_mark
from ims_kvm.networks import HostEntry, entry_name, is_managed
from ims_kvm.saved import refuse_suspended
from ims_kvm.volumes import VolumeNames

if TYPE_CHECKING:
    from collections.abc import Collection

    from ims_core.models import Resource
    from ims_kvm.networks import Networks
    from ims_kvm.provider import KvmProvider
    from ims_kvm.volumes import StoragePool

__all__ = ["discard", "power_off", "remove_vm", "resource_name"]

_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
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
    if not resource.carries_operation:
        return Discarded.NOT_OURS
    return _BY_KIND[resource.kind](provider, resource)


def remove_vm(provider: KvmProvider, uuid: str) -> None:
    """Power a VM off and remove its reservations, its volumes and, last, its domain."""
    domain = _find(provider.connection, uuid)
    if domain is None:
        return
    mark = read_mark(domain)
    if mark is not None and not mark.operation:
        _remove_adopted(domain)
        return
    power_off(domain)
    _release_addresses(provider.networks, domain)
    if mark is not None:
        pool, names = provider.storage_of(domain), VolumeNames(domain.name(), mark.operation)
        present = pool.names(refresh=True)
        for volume in names.all:
            _delete_with_older(pool, volume, present)
    domain.undefineFlags(_UNDEFINE)


def _remove_adopted(domain: libvirt.virDomain) -> None:
    """Remove the definition of a VM whose files, saved memory and reservations are not ours."""
    refuse_suspended(domain)
    power_off(domain)
    domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)


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
    for index, (mac, network) in enumerate(cards_of(domain.XMLDesc()).items()):
        if is_managed(network):
            for entry in networks.entries(network):
                if (entry.mac, entry.name) == (mac, entry_name(domain.name(), index)):
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


def _discard_entry(provider: KvmProvider, resource: Resource) -> Discarded:
    networks = provider.networks
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


def _discard_pool(provider: KvmProvider, resource: Resource) -> Discarded:
    """Forget a storage pool that an import made, unless something lies in it by now."""
    name, uuid, _ = resource.name.split("/")
    try:
        pool = provider.connection.storagePoolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
            raise
        return Discarded.ABSENT
    if pool.UUIDString() != uuid:
        return Discarded.NOT_OURS
    if pool.isActive():
        if pool.numOfVolumes():
            return Discarded.NOT_OURS
        pool.destroy()
    pool.undefine()
    return Discarded.REMOVED


def _discard_volume(provider: KvmProvider, resource: Resource) -> Discarded:
    pool = provider.pool
    removed = _delete_with_older(pool, resource.name, pool.names(refresh=True))
    return Discarded.REMOVED if removed else Discarded.ABSENT


def _delete_with_older(pool: StoragePool, name: str, present: Collection[str]) -> bool:
    """Remove a volume, and with a log the older files that virtlogd kept (``NAME.0``, …)."""
    older = re.compile(re.escape(name) + r"(\.[0-9]+)?")
    found = [each for each in present if older.fullmatch(each)]
    for each in found:
        pool.delete(each)
    return bool(found)


_BY_KIND = {
    "volume": _discard_volume,
    "dhcp-host": _discard_entry,
    "manifest": _discard_manifest,
    "storage-pool": _discard_pool,
}
