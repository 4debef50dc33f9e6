"""``ims check`` for xen: what VMs need of a dom0, and how to mend what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.models import Finding
from ims_core.units import format_size
from ims_shell.facts import room_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ims_dom0.dom0 import Dom0

__all__ = ["check", "facts_of"]

_LITTLE_ROOM = 1 << 30
_NEEDED = {
    "xl": "install xen-utils, and boot the machine as a dom0",
    "xenstore-ls": "install xenstore-utils",
    "xentop": "install xen-utils",
    "python3": "install python3; contexts are written to xenstore with it",
    "flock": "install util-linux",
    "tar": "install tar",
}
_USEFUL = {
    "qemu-img": ("no VMs from qcow2 templates", "install qemu-utils and Xen's QEMU"),
    "pygrub": ("no PV guests that boot from their own image", "install xen-utils' pygrub"),
}


def check(dom0: Dom0, bridge: str) -> Iterator[Finding]:
    """Every finding, the good ones included."""
    told = {
        name: content.decode(errors="replace")
        for name, content in dom0.ask("check", bridge, subject="check").items()
    }
    facts = facts_of(told["host"])
    programs = told["programs"].split()
    yield _xen(facts, dom0.shell.endpoint)
    for program, fix in _NEEDED.items():
        if program not in programs:
            yield Finding(program, "is not there", fix)
    for program, (lacks, fix) in _USEFUL.items():
        if program not in programs:
            yield Finding(program, f"is not there: {lacks}", fix)
    if told["bridge"].strip():
        yield Finding(f"bridge {bridge}", "is there", ok=True)
    else:
        yield Finding(f"bridge {bridge}", "is not there", "make it, or set the pool's `bridge`")
    room = room_in(told["room"])
    if room is not None and room < _LITTLE_ROOM:
        yield Finding(dom0.directory, f"only {format_size(room)} free", "free space there")
    elif room is not None:
        yield Finding(dom0.directory, f"{format_size(room)} free", ok=True)
    if told["console"].strip():
        yield Finding("consoles", "what guests print is kept", ok=True)
    else:
        yield Finding(
            "consoles",
            "what guests print is not kept, so errors cannot show it",
            "make /var/log/xen/console, and start xenconsoled with --log=guest: Debian's"
            " /etc/default/xen has XENCONSOLED_ARGS for that, others XENCONSOLED_TRACE=guest",
        )


def _xen(facts: Mapping[str, str], endpoint: str) -> Finding:
    if "xen_version" not in facts:
        return Finding("xen", f"xl does not answer at {endpoint}", _NEEDED["xl"])
    kinds = "PV, PVH and HVM" if "hvm" in facts.get("virt_caps", "") else "PV guests only"
    return Finding("xen", f"{endpoint} runs Xen {facts['xen_version']}: {kinds}", ok=True)


def facts_of(info: str) -> dict[str, str]:
    """What ``xl info`` says, by its own words."""
    lines = (line.partition(":") for line in info.splitlines())
    return {word.strip(): value.strip() for word, _, value in lines}
