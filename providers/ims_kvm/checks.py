"""``ims check`` for kvm: what VMs need from this host, and how to mend what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import libvirt

from ims_core.errors import ImsError, NotFoundError
from ims_core.models import Finding, Interface
from ims_core.units import format_size
from ims_kvm.acceleration import cpu_can_virtualize, kvm_usable
from ims_kvm.access import check_access
from ims_kvm.injecting import availability

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_kvm.networks import Networks
    from ims_kvm.templates import Templates
    from ims_kvm.volumes import StoragePool

__all__ = ["check", "default_storage_path"]

SYSTEM_IMAGES = "/var/lib/libvirt/images"
LITTLE_ROOM = 1 << 30


def default_storage_path(uri: str) -> str:
    """Where a storage pool is made when none is configured, as libvirt's own tools do it.

    Empty for somebody's session on another machine, whose home is not known here.
    """
    place = urlsplit(uri)
    if place.path == "/session":
        if place.hostname:
            return ""
        return str(Path.home() / ".local/share/libvirt/images")
    return SYSTEM_IMAGES


def check(
    connection: libvirt.virConnect, pool: StoragePool, templates: Templates, networks: Networks
) -> Iterator[Finding]:
    """Every finding, the good ones included."""
    version = connection.getLibVersion()
    shown = f"{version // 1_000_000}.{version // 1_000 % 1_000}.{version % 1_000}"
    yield Finding("libvirt", f"{connection.getURI()} answers (libvirt {shown})", ok=True)
    yield _acceleration(connection)
    storage = _storage(pool)
    yield storage
    if storage.ok:
        directory = pool.path_of("").rstrip("/")
        yield from check_access(connection, directory)
        yield availability(connection.getURI(), Path(directory))
        yield from _templates(templates)
    yield _network(networks)


def _acceleration(connection: libvirt.virConnect) -> Finding:
    if kvm_usable(connection):
        return Finding("kvm", "guests run with KVM", ok=True)
    if cpu_can_virtualize(connection):
        return Finding(
            "kvm",
            "the CPU can virtualize, but libvirt cannot use KVM: guests are emulated, and slow",
            "`modprobe kvm_intel` or `modprobe kvm_amd`, then restart libvirt's daemon",
        )
    return Finding(
        "kvm",
        "the host's CPU has no VMX or SVM: guests are emulated, and slow"
        " (a /dev/kvm that exists there does not help)",
        "use a host with hardware virtualization, or turn it on in its firmware",
    )


def _storage(pool: StoragePool) -> Finding:
    subject = f"storage pool {pool.name}"
    try:
        pool.names()  # refused while it is not active
        free = pool.free()
    except NotFoundError as error:
        return Finding(subject, str(error), "`ims import-template IMAGE` makes it")
    except libvirt.libvirtError as error:
        return Finding(subject, str(error), f"`virsh pool-start {pool.name}`")
    if free < LITTLE_ROOM:
        return Finding(subject, f"only {format_size(free)} free", "free space there")
    return Finding(subject, f"{format_size(free)} free", ok=True)


def _templates(templates: Templates) -> Iterator[Finding]:
    """Images that changed under the VMs that were made from them."""
    for name in templates.changed():
        yield Finding(
            f"template {name}",
            "its image was changed after the import: VMs made from it may find their disks damaged",
            f"put the image back, or delete its VMs and `ims delete-template {name}`",
        )


def _network(networks: Networks) -> Finding:
    subject = f"network {networks.default}"
    try:
        networks.complete(Interface())
    except ImsError as error:
        return Finding(subject, error.message, error.hint)
    return Finding(subject, "usable", ok=True)
