"""The Xen lab: a dom0 with real guests, in a QEMU of its own.

Nothing on this machine needs to be able to virtualize: QEMU emulates a CPU that can, Xen runs on
it, dom0 and its guests on Xen. dom0 takes root with the lab's own key over SSH.
"""

from __future__ import annotations

from tests.labs import cache, packages
from tests.labs.xen import machine
from tests.labs.xen.dom0 import ADDRESS, BRIDGE
from tests.labs.xen.machine import Machine

__all__ = ["ADDRESS", "BRIDGE", "Machine", "lab", "start", "status", "stop"]


def start() -> Machine:
    """Start the lab unless it runs, and return how to reach it."""
    with cache.lock("xen-lab"):
        running = machine.remembered()
        if running is not None:
            return running
        packages.require("xen")
        return machine.boot()


def lab() -> Machine | None:
    """Return the running lab, or ``None``; changes nothing."""
    return machine.remembered()


def stop(*, force: bool = False) -> list[str]:
    """End the lab with every guest in it, if it runs: forced or not, as all in it is its own."""
    with cache.lock("xen-lab"):
        running = machine.remembered()
        if running is None:
            return []
        machine.shut_off(running)
        return ["dom0"]


def status() -> str:
    """Describe the lab in lines of ``word: value``; changes nothing."""
    running = lab()
    if running is None:
        return "state: stopped\nhint: python3 -m tests.labs.xen start"
    return "\n".join(
        [
            "state: running",
            f"pid: {running.process.pid}",
            f"port: {running.port}",
            f"ssh: {' '.join(running.ssh)}",
        ]
    )
