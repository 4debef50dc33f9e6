"""The OVM lab: the Xen lab's dom0 with OVM's directories, and a simulated Oracle VM Manager 2.2.

The Manager is available nowhere any more; ``README.md`` says what of it is known and what guessed.
Tests that need no real dom0 serve a Manager in their own process: ``tests.labs.ovm.server``.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.labs import cache, xen
from tests.labs.ovm import process
from tests.labs.ovm.process import AUTHENTICATION, POOL, ManagerProcess

__all__ = ["AUTHENTICATION", "POOL", "ManagerProcess", "OvmLab", "lab", "start", "status", "stop"]


@dataclass(frozen=True, slots=True)
class OvmLab:
    """How to reach the running lab."""

    manager: ManagerProcess
    dom0: xen.Machine


def start() -> OvmLab:
    """Start the Manager unless it runs, and before that its dom0, and return how to reach them."""
    with cache.lock("ovm-lab"):
        running = lab()
        if running is not None:
            return running
        started_dom0 = xen.lab() is None
        dom0 = xen.start()
        process.finish()  # that of a dom0 which is gone
        return OvmLab(process.begin(dom0, started_dom0=started_dom0), dom0)


def lab() -> OvmLab | None:
    """Return the running lab, or ``None``; changes nothing."""
    manager, dom0 = process.remembered(), xen.lab()
    return OvmLab(manager, dom0) if manager and dom0 else None


def stop(*, force: bool = False) -> list[str]:
    """End the Manager, and the dom0 with its guests if it was started for the Manager."""
    with cache.lock("ovm-lab"):
        ended = ["Manager"] if process.finish() else []
        if process.started_dom0():
            ended += xen.stop(force=force)
        process.forget()
        return ended


def status() -> str:
    """Describe the lab in lines of ``word: value``; changes nothing."""
    running = lab()
    if running is None:
        return "state: stopped\nhint: python3 -m tests.labs.ovm start"
    lines = {
        "state": "running",
        "pid": str(running.manager.process.pid),
        "url": running.manager.url,
        "user": AUTHENTICATION.user,
        "password": AUTHENTICATION.password,
        "pool": POOL,
        "dom0": f"pid {running.dom0.process.pid}, {' '.join(running.dom0.ssh)}",
    }
    return "\n".join(f"{word}: {value}" for word, value in lines.items())
