"""The VirtualBox labs: a real one from Debian's unstable, with and without a kernel of its own.

``tests.labs.virtualbox`` boots a machine in which VirtualBox starts guests: QEMU emulates a CPU
that can virtualize, so nothing on this machine needs to. ``tests.labs.virtualbox.chroot`` runs the
same installation on this machine's kernel: everything but a start, in seconds. Both take root with
the lab's own key over SSH.
"""

from __future__ import annotations

from tests.labs import cache, machine, packages
from tests.labs.machine import Machine
from tests.labs.virtualbox.booted import LAB, boot

__all__ = ["Machine", "lab", "start", "status", "stop"]


def start() -> Machine:
    """Start the lab unless it runs, and return how to reach it."""
    with cache.lock("virtualbox-lab"):
        running = machine.remembered(LAB)
        if running is not None:
            return running
        packages.require("virtualbox")
        return boot()


def lab() -> Machine | None:
    """Return the running lab, or ``None``; changes nothing."""
    return machine.remembered(LAB)


def stop(*, force: bool = False) -> list[str]:
    """End the lab with every guest in it, if it runs: forced or not, as all in it is its own."""
    with cache.lock("virtualbox-lab"):
        running = machine.remembered(LAB)
        if running is None:
            return []
        machine.shut_off(running)
        return ["VirtualBox's machine"]


def status() -> str:
    """Describe the lab in lines of ``word: value``; changes nothing."""
    return machine.status(lab(), "python3 -m tests.labs.virtualbox start")
