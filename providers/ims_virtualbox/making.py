"""Making a VM, and removing what was made of one."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_core.errors import CapacityError, ConflictError, ImsError, NotFoundError
from ims_core.models import Carrier
from ims_core.spi import Discarded
from ims_shell.archive import pack
from ims_virtualbox.delivering import properties
from ims_virtualbox.host import MAKING_SECONDS, patiently
from ims_virtualbox.names import (
    ADDRESSES,
    FORWARD,
    MARK,
    Folder,
    seed_name,
    template_disk,
    template_of,
)
from ims_virtualbox.networks import NAT, promises
from ims_virtualbox.surveying import mark_text, survey, taken_name
from ims_virtualbox.vboxmanage import commands
from ims_virtualbox.vboxmanage.document import Forward
from ims_virtualbox.vboxmanage.listing import listed_media

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any

    from ims_core.models import Delivery, Mark, VMSpec
    from ims_core.spi import UndoLog
    from ims_virtualbox.host import VirtualBoxHost
    from ims_virtualbox.surveying import Found
    from ims_virtualbox.vboxmanage.commands import Words

__all__ = ["Maker", "Source", "free_port", "remove_folder", "remove_machine"]

SSH = 22


@dataclass(frozen=True, slots=True)
class Source:
    """What a VM's disk is made of.

    Attributes:
        path: Of that disk.
        template: Whose it is; empty if it is a VM's.
        linked: Whether the new one depends on it.
        size: Bytes the guest sees.
    """

    path: str
    template: str
    linked: bool
    size: int


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes VMs on a host as its pool's settings say."""

    host: VirtualBoxHost
    settings: Mapping[str, Any]

    def source_of(self, spec: VMSpec) -> Source:
        """The disk of a spec's template."""
        path = template_disk(self.host.directory, spec.template.name)
        linked = self.settings["clone"] == "linked"
        return Source(path, spec.template.name, linked, spec.template.virtual_size)

    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:
        """The commands, one on each line; guest properties without their values."""
        folder = Folder.of(self.host.directory, spec.name, mark.operation)
        forward = self._forward(spec, ())
        words = [
            self._machine(spec, folder),
            ("setextradata", spec.uuid, MARK, mark_text(mark)),
            *self._parts(spec, folder, self.source_of(spec), forward),
        ]
        if delivery.carrier is Carrier.ISO:
            words.append(commands.attach_cd(spec.uuid, folder.path(seed_name(delivery))))
        else:
            names = [words[3] for words in properties(spec.uuid, delivery.values)]
            words += [commands.set_property(spec.uuid, name, "…") for name in names]
        return "".join(f"VBoxManage {shlex.join(each)}\n" for each in words)

    def make(
        self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog, source: Source
    ) -> None:
        """Make a VM, as the SPI's ``create`` does.

        VirtualBox has no objection to two machines of one name. Of IMS's own, one at a time looks
        and takes it (``register.sh``); who then meets one of somebody else withdraws.
        """
        folder = Folder.of(self.host.directory, spec.name, undo.operation)
        subject = f"VM {spec.name}"
        medium = {seed_name(delivery): delivery.medium} if delivery.carrier is Carrier.ISO else {}
        undo.announce("vm-folder", folder.name)
        undo.announce("vm", spec.uuid)
        self.host.call("put", folder.name, stdin=pack(medium), subject=subject)

        def manage(words: Words, template: str = "") -> None:
            where = {"folder": folder.name, "template": template}
            self.host.manage(*words, **where, subject=subject, timeout=MAKING_SECONDS)

        self.host.register(spec.name, folder.name, self._machine(spec, folder))
        manage(("setextradata", spec.uuid, MARK, mark_text(mark)))
        seen = survey(self.host)
        if taken := taken_name(spec.name, spec.uuid, seen):
            raise taken
        forward = self._forward(spec, seen.ports_of_others(spec.uuid))
        for words in self._parts(spec, folder, source, forward):
            manage(words, source.template if words[0] in ("createmedium", "clonemedium") else "")
        if medium:
            manage(commands.attach_cd(spec.uuid, folder.path(seed_name(delivery))))
        else:
            secrets = properties(spec.uuid, delivery.values)
            self.host.secretly(folder.name, secrets, subject=subject)

    def _forward(self, spec: VMSpec, taken: Collection[int]) -> Forward | None:
        """The way to the SSH server of a VM behind NAT; None for others."""
        if not (spec.interfaces and spec.interfaces[0].network == NAT):
            return None
        return Forward(FORWARD, "127.0.0.1", free_port(self.settings["ssh_ports"], taken), SSH)

    def _machine(self, spec: VMSpec, folder: Folder) -> Words:
        os_type = self.settings["os_type"]
        return commands.create_machine(spec.name, spec.uuid, folder.machine_parent, os_type)

    def _parts(
        self, spec: VMSpec, folder: Folder, source: Source, forward: Forward | None
    ) -> Iterator[Words]:
        yield commands.hardware(
            spec.uuid,
            memory=spec.memory,
            cpus=spec.vcpus,
            paravirt=self.settings["paravirt"],
            console=folder.path("console.log"),
            receipt=folder.path("receipt.log"),
        )
        yield commands.cards(spec.uuid, spec.interfaces, self.settings["nat_subnet"], forward)
        if promised := promises(spec.interfaces):
            yield ("setextradata", spec.uuid, ADDRESSES, " ".join(promised))
        yield commands.disk_controller(spec.uuid)
        yield commands.drive_controller(spec.uuid)
        make = commands.linked_disk if source.linked else commands.copied_disk
        yield make(folder.root, source.path)
        if spec.disk > source.size:
            yield commands.resized_disk(folder.root, spec.disk)
        yield commands.attach_disk(spec.uuid, folder.root)


def free_port(ports: str, taken: Collection[int]) -> int:
    """A port of the range that nobody uses.

    Raises:
        CapacityError: ``ports-used-up``.
    """
    first, last = (int(each) for each in ports.split("-"))
    for port in range(first, last + 1):
        if port not in taken:
            return port
    raise CapacityError(
        f"every port from {first} to {last} of the VirtualBox host is in use",
        code="ports-used-up",
        hint="give the pool a larger range of `ssh_ports`, or delete VMs",
    )


def remove_machine(host: VirtualBoxHost, machine: Found) -> None:
    """Remove a machine that is off, and all that was made for it; its settings file goes last."""
    subject = f"VM {machine.name}"
    host.manage("unregistervm", machine.uuid, subject=subject)
    folder = machine.folder
    if folder is not None:
        patiently(lambda: remove_folder(host, folder))


def remove_folder(host: VirtualBoxHost, folder: Folder) -> Discarded:
    """Remove a folder whose machine VirtualBox does not know (any more).

    VirtualBox forgets the media in it, and templates' disks that no other depends on.

    Raises:
        BusyError: VirtualBox knows a machine or a medium in it by now: look again.
    """
    subject = f"folder {folder.name}"
    spare: list[str] = []
    for kind, command in (("dvd", "dvds"), ("disk", "hdds")):
        media = listed_media(host.manage("list", command, subject=subject))
        inside = {each.uuid for each in media if each.path.startswith(folder.path(""))}
        parents = {each.parent for each in media if each.uuid not in inside}
        spare = [each.path for each in media if each.uuid not in parents]
        for each in reversed(media):  # those that depend on others stand behind them
            if each.uuid in inside:
                with suppress(NotFoundError, ConflictError):
                    host.manage("closemedium", kind, each.uuid, subject=subject)
    found = host.call("remove", folder.name, subject=subject, timeout=MAKING_SECONDS)
    for path in spare:
        if template := template_of(host.directory, path):
            with suppress(ImsError):  # somebody needs it after all
                host.manage("closemedium", "disk", path, template=template, subject=subject)
    return Discarded(found.decode().strip())
