"""Suspending: libvirt's managed save image, the file in which it keeps a domain's memory.

libvirt calls a domain with such an image "shut off", and starting it wakes it up. The image holds
the definition of the moment at which it was made, and the domain goes on with that one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import libvirt

from ims_core.errors import ConflictError
from ims_kvm.mark import read_mark

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["forget", "refuse_suspended", "resume", "save", "suspended_among"]

_OFF = (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED)


def save(domain: libvirt.virDomain) -> None:
    """Save the domain's memory and take its power; nothing to do when that is so.

    Raises:
        ConflictError: ``vm-not-running``.
    """
    if not domain.isActive():
        if domain.hasManagedSaveImage():
            return
        raise ConflictError(
            f"VM {domain.name()!r} is not running", code="vm-not-running", vm=domain.name()
        )
    domain.managedSave()


def resume(domain: libvirt.virDomain) -> None:
    """Let a domain go on whose memory was saved, or whose CPUs are held.

    Raises:
        ConflictError: ``vm-not-suspended``.
    """
    if not domain.isActive():
        if not domain.hasManagedSaveImage():
            raise ConflictError(
                f"VM {domain.name()!r} is off, and nothing of it was saved",
                code="vm-not-suspended",
                vm=domain.name(),
                hint=f"`ims start-vm {domain.name()}`",
            )
        _keep_what_the_guest_said(domain)
        domain.create()
    state, _ = domain.state()
    if state == libvirt.VIR_DOMAIN_PAUSED:  # by other tools, perhaps before it was saved
        domain.resume()
    elif state == libvirt.VIR_DOMAIN_PMSUSPENDED:
        domain.pMWakeup()


def forget(domain: libvirt.virDomain) -> None:
    """Give saved memory up; nothing to do when there is none."""
    if domain.hasManagedSaveImage():
        domain.managedSaveRemove()


def refuse_suspended(domain: libvirt.virDomain) -> None:
    """Raise ``vm-suspended`` for a domain that would wake up, not start."""
    if domain.hasManagedSaveImage():
        raise ConflictError(
            f"VM {domain.name()!r} is suspended to disk",
            code="vm-suspended",
            vm=domain.name(),
            hint=f"`ims resume-vm {domain.name()}` lets it go on,"
            f" `ims stop-vm --force {domain.name()}` gives its memory up",
        )


def suspended_among(connection: libvirt.virConnect, states: Collection[int]) -> frozenset[str]:
    """The UUIDs of all suspended domains, by one request; none where no domain is off.

    A domain's state alone does not tell: the reason that libvirt gives for it is lost when its
    daemon is restarted, and outlives an image that was removed.
    """
    if not any(state in _OFF for state in states):
        return frozenset()
    domains = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
    return frozenset(domain.UUIDString() for domain in domains)


def _keep_what_the_guest_said(domain: libvirt.virDomain) -> None:
    """Let QEMU go on writing the files of the guest's receipt and console, not begin them anew.

    A guest answers once for each start, so what it said before is all there is.
    """
    mark = read_mark(domain)
    if mark is None or not mark.operation:
        return
    xml = domain.managedSaveGetXMLDesc(libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE)
    domain.managedSaveDefineXML(xml.replace("append='off'", "append='on'"))
