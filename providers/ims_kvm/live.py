"""The medium of a VM that exists: which of its two it has, and changing it while the VM runs.

A running guest gets another medium in its CD drive. The new one is written whole beside the old
one, then the drive is told, then the mark, then the old one goes; so whenever this is cut short the
VM has a whole medium, and doing it again comes to the same end.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import libvirt

from ims_core.errors import ConflictError, ImsError, UnsupportedError
from ims_core.models import Carrier
from ims_kvm.domain import cd_with, files_of
from ims_kvm.mark import read_mark, write_mark
from ims_kvm.volumes import VolumeNames

if TYPE_CHECKING:
    from ims_core.models import Delivery, Mark
    from ims_kvm.volumes import StoragePool

__all__ = ["seed_of", "update_seed"]

_BOTH = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG


def seed_of(domain: libvirt.virDomain, mark: Mark) -> str:
    """The volume that the VM's medium is in now."""
    first, second = VolumeNames(domain.name(), mark.operation).seeds
    used = {path.rpartition("/")[2] for path in files_of(domain.XMLDesc())}
    return second if second in used else first


def update_seed(pool: StoragePool, domain: libvirt.virDomain, delivery: Delivery) -> None:
    """Change the CD of a running VM for one with this delivery.

    Raises:
        ConflictError: ``vm-not-running``.
        UnsupportedError: ``carrier-impossible``: a disk cannot be changed under a guest.
    """
    mark = read_mark(domain)
    if mark is None or not domain.isActive():
        raise ConflictError(
            f"VM {domain.name()!r} is not running", code="vm-not-running", vm=domain.name()
        )
    if delivery.carrier is not Carrier.ISO:
        raise UnsupportedError(
            f"a {delivery.carrier} cannot be changed while the VM runs",
            code="carrier-impossible",
            hint="the new context takes effect at the next start",
        )
    old = seed_of(domain, mark)
    new = next(name for name in VolumeNames(domain.name(), mark.operation).seeds if name != old)
    pool.delete(new)  # what an interrupted update left
    pool.write(new, delivery.medium)
    _insert(domain, cd_with(pool.path_of(new)))
    write_mark(domain, replace(mark, digest=delivery.digest, nonce=delivery.nonce))
    # The guest has it: what is left of the old one goes with the next update, or with the VM. And
    # somebody else may have made that one the VM's again meanwhile.
    with suppress(ImsError, libvirt.libvirtError):
        if seed_of(domain, mark) != old:
            pool.delete(old)


def _insert(domain: libvirt.virDomain, cd: str) -> None:
    """Put another CD in; a guest that holds the drive's door closed is not asked twice."""
    try:
        domain.updateDeviceFlags(cd, _BOTH)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_FAILED:
            raise
        domain.updateDeviceFlags(cd, _BOTH | libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE)
