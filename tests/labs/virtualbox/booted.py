"""The machine that VirtualBox starts its guests in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.labs import machine
from tests.labs.virtualbox import host

if TYPE_CHECKING:
    from pathlib import Path

    from tests.labs.machine import Machine

__all__ = ["LAB", "boot"]

LAB = "virtualbox"

_MEMORY = 3072  # MiB
_READY_SECONDS = 600.0
# QEMU emulates AMD's virtualization well enough for VirtualBox, and not Intel's. Of two processors
# one would start a guest while the other is emulated beside it, and now and then that ends both.
_CPU = ("-cpu", "EPYC", "-smp", "1")


def boot() -> Machine:
    """Start the machine and wait until VirtualBox could start a guest in it."""
    entry = host.build()
    return machine.boot(
        LAB,
        entry,
        lambda disk, port: _command(entry, disk, port),
        "test -c /dev/vboxdrv && VBoxManage --version",
        _READY_SECONDS,
    )


def _command(entry: Path, disk: Path, port: int) -> list[str]:
    # Isolating page tables costs an emulated CPU half its time, and protects nobody here.
    linux = "root=/dev/sda ro console=ttyS0 net.ifnames=0 mitigations=off quiet"
    forward = f"hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:22"
    return [
        *(machine.QEMU, "-accel", "tcg,tb-size=512", *_CPU),
        *("-m", str(_MEMORY), "-display", "none", "-serial", "stdio", "-monitor", "none"),
        *("-no-reboot", "-kernel", str(entry / "vmlinuz"), "-initrd", str(entry / "initrd")),
        *("-append", linux),
        *("-drive", f"file={disk},format=qcow2,if=ide,cache=unsafe,discard=unmap"),
        *("-netdev", f"user,id=net,{forward}", "-device", "e1000,netdev=net"),
    ]
