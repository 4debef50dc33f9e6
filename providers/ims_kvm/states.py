"""libvirt's domain states as ours: every one of them, with the reasons that change its meaning.

Source: libvirt's include/libvirt/libvirt-domain.h, enum virDomainState and the reason enums.
"""

from __future__ import annotations

import libvirt

from ims_core.models import State

__all__ = ["REASONS", "STATES", "state_of"]

STATES: dict[int, State] = {
    libvirt.VIR_DOMAIN_NOSTATE: State.UNKNOWN,
    libvirt.VIR_DOMAIN_RUNNING: State.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: State.RUNNING,  # waiting for I/O, on Xen
    libvirt.VIR_DOMAIN_PAUSED: State.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: State.STOPPING,
    libvirt.VIR_DOMAIN_SHUTOFF: State.STOPPED,
    libvirt.VIR_DOMAIN_CRASHED: State.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: State.PAUSED,  # by the guest itself, in its memory
}

REASONS: dict[tuple[int, int], State] = {
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED): State.CRASHED,
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP): State.STARTING,
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN): State.STOPPING,
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED): State.CRASHED,
}


def state_of(state: int, reason: int, *, saved: bool = False) -> State:
    """Our state for libvirt's; ``UNKNOWN`` for one that libvirt did not have when this was made.

    Args:
        state: libvirt's number of it.
        reason: The same, of why it is so.
        saved: Whether libvirt would wake the domain up instead of starting it. The reason
            ``SHUTOFF_SAVED`` does not tell: see :func:`ims_kvm.saved.suspended_among`.
    """
    if saved and state == libvirt.VIR_DOMAIN_SHUTOFF:
        return State.SUSPENDED
    return REASONS.get((state, reason), STATES.get(state, State.UNKNOWN))
