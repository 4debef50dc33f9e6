"""The quick VirtualBox lab: VBoxManage on this machine's kernel, which has no driver for it.

So no guest starts; all else is real. It runs in namespaces of its own, in which the installation
can only be read, and ends with the process that holds them. What is written is in memory.
``python3 -m tests.labs.virtualbox.chroot start|stop [--force]|status``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.labs import cache, machine, packages
from tests.labs.command_line import main
from tests.labs.virtualbox import host

if TYPE_CHECKING:
    from tests.labs.machine import Machine

__all__ = ["LAB", "lab", "start", "status", "stop"]

LAB = "virtualbox-chroot"

_READY_SECONDS = 30.0
_ENTER = """
set -e
tree=$1
mount --bind "$tree" "$tree"
mount -t proc proc "$tree/proc"
mount -t tmpfs -o mode=755 tmpfs "$tree/dev"
for node in null zero full random urandom tty; do
    : >"$tree/dev/$node"
    mount --bind "/dev/$node" "$tree/dev/$node"
done
mkdir "$tree/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$tree/dev/pts"
ln -s pts/ptmx "$tree/dev/ptmx"
ln -s /proc/self/fd "$tree/dev/fd"
ln -s fd/0 "$tree/dev/stdin"
keys=$(cat "$tree/root/.ssh/authorized_keys")
mount -t tmpfs -o mode=1777 tmpfs "$tree/tmp"
mount -t tmpfs -o mode=755 tmpfs "$tree/run"
mount -t tmpfs -o mode=700 tmpfs "$tree/root"
mkdir -p -m 700 "$tree/root/.ssh" "$tree/run/sshd"
printf '%s\\n' "$keys" >"$tree/root/.ssh/authorized_keys"
mount -o remount,bind,ro "$tree"
exec chroot "$tree" /usr/sbin/sshd -D -e -f /dev/null -p "$2" -h /etc/ssh/ssh_host_ed25519_key \\
    -o ListenAddress=127.0.0.1 -o PasswordAuthentication=no -o Subsystem="sftp internal-sftp"
"""


def start() -> Machine:
    """Start the lab unless it runs, and return how to reach it."""
    with cache.lock("virtualbox-chroot"):
        running = lab()
        if running is not None:
            return running
        packages.require("virtualbox")
        entry = host.build()

        def command(port: int) -> list[str]:
            apart = ("--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
            inside = ("sh", "-c", _ENTER, "sh", str(entry / host.TREE), str(port))
            return ["unshare", *apart, *inside]

        return machine.start(
            LAB,
            entry,
            program="unshare",
            command=command,
            ready="VBoxManage --version",
            seconds=_READY_SECONDS,
        )


def lab() -> Machine | None:
    """Return the running lab, or ``None``; changes nothing."""
    return machine.remembered(LAB)


def stop(*, force: bool = False) -> list[str]:
    """End the lab, if it runs: forced or not, as all in it is its own."""
    with cache.lock("virtualbox-chroot"):
        running = lab()
        if running is None:
            return []
        machine.shut_off(running)
        return ["VirtualBox's chroot"]


def status() -> str:
    """Describe the lab in lines of ``word: value``; changes nothing."""
    return machine.status(lab(), "python3 -m tests.labs.virtualbox.chroot start")


if __name__ == "__main__":
    sys.exit(main("virtualbox.chroot", sys.modules[__name__], sys.argv[1:]))
