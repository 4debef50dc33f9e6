"""The Xen lab: a dom0 with real guests, in a QEMU of its own.

Nothing on this machine needs to be able to virtualize: QEMU emulates a CPU that can, Xen runs on
it, dom0 and its guests on Xen. dom0 takes root with the lab's own key over SSH.
"""

from __future__ import annotations

from tests.labs import cache, machine, packages
from tests.labs.machine import Machine
from tests.labs.xen.booted import LAB, boot
from tests.labs.xen.dom0 import ADDRESS, BRIDGE

__all__ = ["ADDRESS", "BRIDGE", "Machine", "lab", "start", "status", "stop"]


def start() -> Machine:
    """Start the lab unless it runs, and return how to reach it."""
    with cache.lock("xen-lab"):
        running = machine.remembered(LAB)
        if running is not None:
            return running
        packages.require("xen")
        return boot()


def lab() -> Machine | None:
    """Return the running lab, or ``None``; changes nothing."""
    return machine.remembered(LAB)


def stop(*, force: bool = False) -> list[str]:
    """End the lab with every guest in it, if it runs: forced or not, as all in it is its own."""
    with cache.lock("xen-lab"):
        running = machine.remembered(LAB)
        if running is None:
            return []
        machine.shut_off(running)
        return ["dom0"]


def status() -> str:
    """Describe the lab in lines of ``word: value``; changes nothing."""
    return machine.status(lab(), "python3 -m tests.labs.xen start")
