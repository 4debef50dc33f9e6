"""``ims check`` for virtualbox: what VMs need of a host, and how to mend what is missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_core.errors import HypervisorError
from ims_core.models import Finding, Host
from ims_core.units import format_size
from ims_shell.facts import room_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_virtualbox.host import VirtualBoxHost

__all__ = ["check", "host_of"]

_LITTLE_ROOM = 1 << 30
_MIB = 1 << 20
_VERSION = re.compile(r"^(\d+)\.(\d+)\.\d+", re.MULTILINE)
_OLDEST, _NEWEST = (6, 1), (7, 2)
_NEEDED = {
    "flock": "install util-linux",
    "tar": "install tar",
    "ps": "install procps; without it no processor times are known",
}


def check(host: VirtualBoxHost) -> Iterator[Finding]:
    """Every finding, the good ones included."""
    sections = host.ask("check", subject="check")
    told = {name: text.decode(errors="replace") for name, text in sections.items()}
    yield _virtualbox(told["version"], host.shell.endpoint)
    if "there" in told["driver"]:
        yield Finding("vboxdrv", "is loaded", ok=True)
    elif not told["driver"].strip():
        fix = "install virtualbox-dkms and the kernel's headers, or run /sbin/vboxconfig; modprobe"
        yield Finding("vboxdrv", "is not loaded: no VM can be started", f"{fix} vboxdrv")
    if not told["flags"].strip():
        yield Finding(
            "CPU",
            "says nothing of VT-x or AMD-V, without which VirtualBox starts no VM",
            "turn it on in the machine's firmware, or in the hypervisor that runs it",
        )
    if any(int(each) for each in told["kvm"].split() if each.isdecimal()):
        yield Finding(
            "KVM",
            "has VMs running, which may keep VirtualBox from the CPU's virtualization",
            "stop them, and `rmmod kvm_amd kvm_intel kvm`",
        )
    for program, fix in _NEEDED.items():
        if program not in told["programs"].split():
            yield Finding(program, "is not there", fix)
    room = room_in(told["room"])
    if room is not None and room < _LITTLE_ROOM:
        yield Finding(host.directory, f"only {format_size(room)} free", "free space there")
    elif room is not None:
        yield Finding(host.directory, f"{format_size(room)} free", ok=True)


def host_of(told: str) -> Host:
    """The one machine, out of what ``scripts/host.sh`` prints."""
    lines = (line.partition(":") for line in told.splitlines())
    facts = {word.strip(): value.strip() for word, _, value in lines}
    try:
        total, free = (
            int(facts[word].split()[0]) * _MIB for word in ("Memory size", "Memory available")
        )
        return Host(facts["name"], int(facts["cpus"]), total, free)
    except (KeyError, ValueError, IndexError) as error:
        raise HypervisorError(f"`VBoxManage list hostinfo` says nothing of {error}") from None


def _virtualbox(told: str, endpoint: str) -> Finding:
    match = _VERSION.search(told)
    if match is None:
        return Finding(
            "VirtualBox",
            f"VBoxManage does not answer at {endpoint}",
            "install VirtualBox there, or make VBoxManage findable for this user",
        )
    version = (int(match[1]), int(match[2]))
    if not _OLDEST <= version <= _NEWEST:
        return Finding(
            "VirtualBox",
            f"{endpoint} runs VirtualBox {match[0]}, and IMS knows 6.1 to 7.2",
            "install one of these, or try: its words change little",
        )
    return Finding("VirtualBox", f"{endpoint} runs VirtualBox {match[0]}", ok=True)
