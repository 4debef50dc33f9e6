"""A graceful stop: press the power button, and watch libvirt's events until the guest is off."""

from __future__ import annotations

import threading
import time
from typing import Any

import libvirt

from ims_core.errors import DeadlineError
from ims_kvm.bounded import CALL_SECONDS, within
from ims_kvm.saved import refuse_suspended

__all__ = ["shut_down"]

PRESS_AGAIN_AFTER = 5.0
"""Seconds; a guest that is still booting does not hear the first press."""
ENDING = 5.0
"""Seconds that a QEMU may take to end, when it has stopped answering."""


def shut_down(connection: libvirt.virConnect, domain: libvirt.virDomain, timeout: float) -> None:
    """Stop a domain, or raise ``DeadlineError`` and leave it running.

    Raises:
        ConflictError: ``vm-suspended``: nobody is there to be asked.
    """
    changed = threading.Event()

    def on_event(*_arguments: Any) -> None:
        changed.set()

    watch = connection.domainEventRegisterAny(
        domain, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, on_event, None
    )
    try:
        end = time.monotonic() + timeout
        while within(CALL_SECONDS, domain.isActive):
            left = end - time.monotonic()
            if left <= 0:
                raise DeadlineError(
                    f"VM {domain.name()!r} did not stop within {timeout:g} s",
                    vm=domain.name(),
                    hint="give it more time with --timeout, or take its power away with --force",
                )
            changed.clear()
            try:
                within(CALL_SECONDS, lambda: _press(domain))
            except libvirt.libvirtError:
                # A QEMU that is just ending answers in many ways, or breaks off.
                if not changed.wait(min(left, ENDING)):
                    raise
            else:
                changed.wait(min(left, PRESS_AGAIN_AFTER))
        within(CALL_SECONDS, lambda: refuse_suspended(domain))
    finally:
        connection.domainEventDeregisterAny(watch)


def _press(domain: libvirt.virDomain) -> None:
    try:
        # Not by the guest agent, whose answer libvirt would wait for as long as it likes.
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    except libvirt.libvirtError as error:
        # It stopped in between, or is about to.
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise
