"""``ims check`` for ovm: the Manager, its words, and the dom0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ims_core.errors import ImsError
from ims_core.models import Finding
from ims_core.units import format_size
from ims_ovm.compare import compare
from ims_shell.facts import room_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ims_dom0.dom0 import Dom0
    from ims_ovm.manager import Manager

__all__ = ["check"]

_LITTLE_ROOM = 1 << 30
_NEEDED = ("xenstore-ls", "xentop", "flock", "tar", "gzip", "ip")


def check(manager: Manager, dom0: Dom0, settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Every finding, the good ones included."""
    yield from _transport(settings)
    try:
        yield from compare(manager.client)
        yield _pool(manager)
    except ImsError as error:
        yield Finding(manager.client.endpoint, error.message, error.hint)
    yield from _dom0(dom0, settings)


def _transport(settings: Mapping[str, Any]) -> Iterator[Finding]:
    url = urlsplit(settings["manager"])
    if url.scheme == "http" and settings["auth"] != "none" and url.hostname not in _LOOPBACK:
        yield Finding(
            settings["manager"],
            "the password of the Manager's user crosses the network as it is",
            "use https if the Manager has it, or a tunnel of SSH's",
        )


def _pool(manager: Manager) -> Finding:
    told = manager.pool_metrics()
    return Finding(
        f"server pool {manager.pool_name}",
        f"{told.cpus} CPUs, {format_size(told.memory_free)} of {format_size(told.memory)} memory"
        f" and {format_size(told.disk_free)} of disk free",
        ok=True,
    )


def _dom0(dom0: Dom0, settings: Mapping[str, Any]) -> Iterator[Finding]:
    bridge = settings["bridge"]
    told = {
        name: content.decode(errors="replace")
        for name, content in dom0.ask("check", bridge, subject="check").items()
    }
    there = told["programs"].split()
    needed = (*_NEEDED, *(("mount",) if settings["bootparams"] == "mount" else ()))
    missing = [each for each in needed if each not in there]
    if missing:
        yield Finding(dom0.shell.endpoint, f"lacks {', '.join(missing)}", "install it in the dom0")
    else:
        yield Finding(dom0.shell.endpoint, "has every program that is needed", ok=True)
    folders = told["folders"].split()
    for name in ("running_pool", "seed_pool"):
        folder = f"{dom0.directory}/{name}"
        if folder not in folders:
            yield Finding(
                folder, "is not there", "set the pool's `directory`; is `host` the pool's master?"
            )
    if not told["bridge"].strip():
        yield Finding(f"bridge {bridge}", "is not there", "make it, or set the pool's `bridge`")
    room = room_in(told["room"])
    if room is not None:
        little = room < _LITTLE_ROOM
        fix = "free space there" if little else ""
        yield Finding(dom0.directory, f"{format_size(room)} free", fix, ok=not little)


_LOOPBACK = ("localhost", "127.0.0.1", "::1")
