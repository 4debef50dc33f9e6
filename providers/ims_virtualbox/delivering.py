"""Putting a delivery in place: a CD in the drive, or properties that the guest can only read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import ImsError
from ims_core.models import Carrier
from ims_shell.archive import pack
from ims_virtualbox.names import CONTEXT, MARK, seed_name
from ims_virtualbox.surveying import find, mark_text
from ims_virtualbox.vboxmanage import commands

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ims_core.models import Delivery, Mark
    from ims_virtualbox.host import VirtualBoxHost
    from ims_virtualbox.surveying import Found
    from ims_virtualbox.vboxmanage.commands import Words

__all__ = ["deliver", "properties", "write_mark"]

_NONCE = f"{CONTEXT}nonce"


def properties(uuid: str, values: Mapping[str, str]) -> Iterator[Words]:
    """The commands that give a machine these values, in their order: the nonce comes last."""
    for key, value in values.items():
        yield commands.set_property(uuid, f"{CONTEXT}{key}", value)


def deliver(host: VirtualBoxHost, machine: Found, mark: Mark, delivery: Delivery) -> None:
    """Put a delivery in place of the one that a machine has, and then say so in its mark."""
    if delivery.carrier is Carrier.ISO:
        _change_cd(host, machine, delivery)
    else:
        _change_properties(host, machine, delivery)
    write_mark(host, machine, replace(mark, digest=delivery.digest, nonce=delivery.nonce))
    if delivery.carrier is Carrier.ISO:
        _forget_old_cds(host, machine)


def write_mark(host: VirtualBoxHost, machine: Found, mark: Mark) -> None:
    """Replace a machine's mark; VirtualBox writes its settings file anew, and renames it."""
    words = ("setextradata", machine.uuid, MARK, mark_text(mark))
    host.manage(*words, subject=f"VM {machine.name}")


def _change_cd(host: VirtualBoxHost, machine: Found, delivery: Delivery) -> None:
    """Each has a file of its own: what the VM has stays whole until it has the new one."""
    folder, subject = machine.own_folder, f"VM {machine.name}"
    name = seed_name(delivery)
    host.call("put", folder.name, stdin=pack({name: delivery.medium}), subject=subject)
    words = commands.attach_cd(machine.uuid, folder.path(name))
    host.manage(*words, subject=subject, folder=folder.name)


def _forget_old_cds(host: VirtualBoxHost, machine: Found) -> None:
    """Remove those that neither the machine nor a snapshot of it has."""
    now, _ = find(host, machine.uuid)
    folder, subject = machine.own_folder, f"VM {machine.name}"
    gone = set(machine.settings.discs) - set(now.settings.discs)
    old = sorted(name for path in gone if (name := folder.seed_in(path)))
    known = host.manage("list", "dvds", subject=subject) if old else ""
    for name in old:
        with suppress(ImsError):  # it goes with the VM, if it is held by something now
            if folder.path(name) in known:
                host.manage("closemedium", "dvd", folder.path(name), subject=subject)
            host.call("drop", folder.name, name, subject=subject)


def _change_properties(host: VirtualBoxHost, machine: Found, delivery: Delivery) -> None:
    """Without a nonce there is nothing to read for a guest, which comes last."""
    folder, uuid, subject = machine.own_folder, machine.uuid, f"VM {machine.name}"
    before = {key for key in machine.settings.properties if key.startswith(CONTEXT)}
    stale = before - {f"{CONTEXT}{key}" for key in delivery.values}
    if _NONCE in before:
        stale.add(_NONCE)
    for key in sorted(stale, key=lambda key: key != _NONCE):
        host.manage("guestproperty", "unset", uuid, key, subject=subject)
    host.secretly(folder.name, properties(uuid, delivery.values), subject=subject)
