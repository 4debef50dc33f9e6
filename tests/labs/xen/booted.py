"""The machine that dom0 runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.labs import machine
from tests.labs.xen import dom0

if TYPE_CHECKING:
    from pathlib import Path

    from tests.labs.machine import Machine

__all__ = ["LAB", "boot"]

LAB = "xen"

#: MiB of the whole machine, and of dom0.
MEMORY, DOM0_MEMORY = 4608, 1024

_READY_SECONDS = 300.0
# With -cpu max dom0 dies of a page fault. This one has AMD's virtualization, which QEMU emulates,
# so Xen runs PVH and HVM guests too; it reports what a guest's RDTSCP meant in a way that kills it.
_CPU = "Opteron_G3,-rdtscp"

# What Xen's own script for disks does with a file, without its search for others that use it: that
# takes ten seconds for each disk when it is emulated, and libxl gives up after forty.
_BLOCK_SCRIPT = """\
#!/bin/sh
set -e
case $1 in
add)
    file=$(xenstore-read "$XENBUS_PATH/params")
    case $(xenstore-read "$XENBUS_PATH/mode") in w*) access=-f ;; *) access=-rf ;; esac
    node=$file
    [ -b "$node" ] || node=$(losetup "$access" --show "$file")
    xenstore-write "$XENBUS_PATH/node" "$node" \\
        "$XENBUS_PATH/physical-device" "$(stat -L -c %t:%T "$node")" \\
        "$XENBUS_PATH/physical-device-path" "$node" "$XENBUS_PATH/hotplug-status" connected
    ;;
remove)
    node=$(xenstore-read "$XENBUS_PATH/node") || exit 0
    case $node in /dev/loop*) losetup -d "$node" ;; esac
    ;;
esac
"""


def boot() -> Machine:
    """Start the machine and wait until ``xl`` answers in it."""
    entry = dom0.build()
    started = machine.boot(
        LAB, entry, lambda disk, port: _command(entry, disk, port), "xl list", _READY_SECONDS
    )
    started.run(f"cat >/etc/xen/scripts/block <<'END'\n{_BLOCK_SCRIPT}END")
    return started


def _command(entry: Path, disk: Path, port: int) -> list[str]:
    # Isolating page tables costs an emulated CPU half its time, and protects nobody here.
    xen_line = (
        f"dom0_mem={DOM0_MEMORY}M,max:{DOM0_MEMORY}M com1=115200,8n1 console=com1 noreboot"
        " xpti=no spec-ctrl=no pv-l1tf=no"
    )
    linux = f"{entry / 'vmlinuz'} root=/dev/sda ro console=hvc0 net.ifnames=0 mitigations=off quiet"
    return [
        *(machine.QEMU, "-accel", "tcg,thread=multi,tb-size=512", "-cpu", _CPU, "-smp", "2"),
        *("-m", str(MEMORY), "-display", "none", "-serial", "stdio", "-monitor", "none"),
        *("-no-reboot", "-kernel", str(entry / "xen"), "-append", xen_line),
        *("-initrd", f"{linux},{entry / 'initrd'}"),
        *("-drive", f"file={disk},format=qcow2,if=ide,cache=unsafe,discard=unmap"),
        # QEMU gives its guests' guests addresses from .100 on; by default it would give dom0's own.
        *(
            "-netdev",
            f"user,id=net,dhcpstart=10.0.2.100,hostfwd=tcp:127.0.0.1:{port}-{dom0.ADDRESS}:22",
        ),
        *("-device", "e1000,netdev=net"),
    ]
