"""The words of VBoxManage's commands that take more than a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.models import Interface
    from ims_virtualbox.vboxmanage.document import Forward

__all__ = [
    "DISKS",
    "DRIVES",
    "attach_cd",
    "attach_disk",
    "cards",
    "copied_disk",
    "create_machine",
    "disk_controller",
    "drive_controller",
    "hardware",
    "linked_disk",
    "other_rule",
    "resized_disk",
    "set_property",
    "ssh_rule",
]

DISKS, DRIVES = "SATA", "IDE"
"""The controllers. Guests find a CD on IDE wherever they find one at all."""
MIB = 1 << 20
_NETWORK_OPTIONS = {
    "bridged": "--bridgeadapter",
    "hostonly": "--hostonlyadapter",
    "hostonlynet": "--host-only-net",
    "natnetwork": "--nat-network",
    "intnet": "--intnet",
}

Words = tuple[str, ...]


def create_machine(name: str, uuid: str, parent: str, os_type: str) -> Words:
    """Make a machine whose folder lies in that parent, and register it."""
    order = ("--name", name, "--uuid", uuid, "--basefolder", parent, "--ostype", os_type)
    return ("createvm", *order, "--register")


def hardware(
    uuid: str, *, memory: int, cpus: int, paravirt: str, console: str, receipt: str
) -> Words:
    """Set what every machine of ours has.

    Args:
        uuid: The machine's.
        memory: Bytes.
        cpus: How many.
        paravirt: What the guest's kernel is offered.
        console: The file that its first serial port writes to.
        receipt: The file that its second serial port writes to.
    """
    return (
        *("modifyvm", uuid, "--memory", str(memory // MIB), "--cpus", str(cpus)),
        *(
            "--paravirtprovider",
            paravirt,
            "--ioapic",
            "on",
            "--rtcuseutc",
            "on",
            "--graphicscontroller",
            "vmsvga",
            "--vram",
            "9",
        ),
        *("--boot1", "disk", "--boot2", "none", "--boot3", "none", "--boot4", "none"),
        *("--uart1", "0x3F8", "4", "--uartmode1", "file", console),
        *("--uart2", "0x2F8", "3", "--uartmode2", "file", receipt),
    )


def cards(
    uuid: str, interfaces: Sequence[Interface], subnet: str, forward: Forward | None
) -> Words:
    """Set its network cards.

    Args:
        uuid: The machine's.
        interfaces: Completed.
        subnet: What NAT is to serve for the first of them, if that is behind NAT.
        forward: Likewise.
    """
    words = ["modifyvm", uuid]
    for slot, card in enumerate(interfaces, 1):
        kind, _, name = card.network.partition(":")
        mac = card.mac.replace(":", "")
        words += [f"--nic{slot}", kind, f"--nictype{slot}", "82540EM", f"--macaddress{slot}", mac]
        if name:
            words += [f"{_NETWORK_OPTIONS[kind]}{slot}", name]
    if forward is not None:
        words += ["--natnet1", subnet, "--natpf1", ssh_rule(forward)]
    return tuple(words)


def ssh_rule(forward: Forward) -> str:
    """A rule for a port, as ``--natpf1`` takes it."""
    return f"{forward.name},tcp,{forward.host_ip},{forward.host_port},,{forward.guest_port}"


def other_rule(uuid: str, slot: int, forward: Forward) -> Words:
    """Replace a card's rule of that name, in one step; cards are counted from 0."""
    option = f"--natpf{slot + 1}"
    return ("modifyvm", uuid, option, "delete", forward.name, option, ssh_rule(forward))


def disk_controller(uuid: str) -> Words:
    """Add the controller of its disk."""
    kind = ("--add", "sata", "--controller", "IntelAhci", "--portcount", "1", "--bootable", "on")
    return ("storagectl", uuid, "--name", DISKS, *kind)


def drive_controller(uuid: str) -> Words:
    """Add the controller of its CD drive."""
    return ("storagectl", uuid, "--name", DRIVES, "--add", "ide", "--controller", "PIIX4")


def linked_disk(path: str, parent: str) -> Words:
    """Make a disk that holds the differences to another."""
    return ("createmedium", "disk", "--filename", path, "--diffparent", parent)


def copied_disk(path: str, source: str) -> Words:
    """Make a disk that is a copy of another."""
    return ("clonemedium", "disk", source, path, "--format", "VDI")


def resized_disk(path: str, size: int) -> Words:
    """Let a disk be larger, in bytes."""
    return ("modifymedium", "disk", path, "--resizebyte", str(size))


def attach_disk(uuid: str, path: str) -> Words:
    """Plug in the root disk."""
    return ("storageattach", uuid, *_at(DISKS, "0"), "--type", "hdd", "--medium", path)


def attach_cd(uuid: str, path: str) -> Words:
    """Put a CD in, in place of the one that is in there."""
    return ("storageattach", uuid, *_at(DRIVES, "1"), "--type", "dvddrive", "--medium", path)


def set_property(uuid: str, name: str, value: str) -> Words:
    """Set a guest property that the guest can only read."""
    return ("guestproperty", "set", uuid, name, value, "--flags", "RDONLYGUEST")


def _at(controller: str, port: str) -> Words:
    return ("--storagectl", controller, "--port", port, "--device", "0")
