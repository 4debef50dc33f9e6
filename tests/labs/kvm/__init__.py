"""The KVM lab: libvirt and QEMU on this machine, at ``qemu:///system``.

If libvirt already answers there, it is used as it is. Otherwise the lab starts
virtlogd and libvirtd, and :func:`stop` ends those two and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.labs import LabError, cache, packages
from tests.labs.kvm import daemons, resources

__all__ = ["KvmLab", "lab", "start", "status", "stop"]


@dataclass(frozen=True, slots=True)
class KvmLab:
    """How to reach the running lab, and what is in it for tests to use."""

    uri: str
    #: ``kvm`` where the CPU can do it, otherwise ``qemu`` (emulation).
    domain_type: str
    #: A started storage pool of the lab's own, and its directory.
    pool: str
    pool_path: Path
    #: A started NAT network of the lab's own; .2-.99 of it are free for static addresses.
    network: str
    bridge: str
    subnet: str
    gateway: str
    #: The daemons that the lab started itself, with their process ids; empty if it found libvirt.
    started: tuple[tuple[str, int], ...]


def start() -> KvmLab:
    """Start the lab unless it runs, with its pool and networks, and return how to reach it."""
    with cache.lock("kvm-lab"):
        if not _answers():
            packages.require("kvm")
            daemons.start()
        resources.provide()
        return _description()


def lab() -> KvmLab | None:
    """Return the running lab, or ``None``; changes nothing."""
    return _description() if _answers() and _complete() else None


def stop(*, force: bool = False) -> list[str]:
    """End the daemons that :func:`start` started, if any, and return their names.

    While guests run it refuses, unless forced: they would go on without their network, and
    what they write to their consoles and channels would be lost for good. They may be
    somebody else's.
    """
    with cache.lock("kvm-lab"):
        if not daemons.started():
            return []
        if _answers():
            guests = resources.names("")
            if guests and not force:
                raise LabError(f"guests are running: {', '.join(guests)}; see --force")
            # A stopped libvirtd leaves its dnsmasq processes and bridges behind.
            resources.stop_networks()
        return daemons.stop()


def status() -> str:
    """Describe the lab in lines of ``word: value``; changes nothing."""
    running = lab()
    if running is None:
        state = "incomplete" if _answers() else "stopped"
        return f"state: {state}\nhint: python3 -m tests.labs.kvm start"
    ours = ", ".join(f"{name} (pid {pid})" for name, pid in running.started)
    lines = {
        "state": "running",
        "uri": running.uri,
        "daemons": f"started by the lab: {ours}" if ours else "not the lab's; used as found",
        "domain type": running.domain_type,
        "pool": f"{running.pool} ({running.pool_path})",
        "network": f"{running.network} ({running.subnet} on {running.bridge})",
        "guests": ", ".join(resources.names("")) or "none",
    }
    return "\n".join(f"{word}: {value}" for word, value in lines.items())


def _answers() -> bool:
    # The version needs the connection and the QEMU driver behind it, not just the socket.
    try:
        resources.virsh("version")
    except LabError:
        return False
    return True


def _complete() -> bool:
    return resources.POOL in resources.names("pool") and resources.NETWORK in resources.names("net")


def _description() -> KvmLab:
    return KvmLab(
        uri=resources.URI,
        domain_type="kvm" if daemons.cpu_can_virtualize() else "qemu",
        pool=resources.POOL,
        pool_path=Path(resources.POOL_PATH),
        network=resources.NETWORK,
        bridge=resources.BRIDGE,
        subnet=resources.SUBNET,
        gateway=resources.GATEWAY,
        started=tuple((process.program, process.pid) for process in daemons.started()),
    )
