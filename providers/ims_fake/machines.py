"""Making VMs, and removing what was made."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, InvalidError, NotFoundError, UnsupportedError
from ims_core.models import Carrier
from ims_core.spi import Discarded
from ims_fake.directory import PLACES
from ims_fake.domain import FILES, Domain
from ims_fake.network import holders
from ims_fake.refusals import refuse_running, refuse_suspended
from ims_fake.templates import template_missing

if TYPE_CHECKING:
    from ims_core.models import Delivery, Interface, Mark, Resource, VMSpec
    from ims_core.spi import UndoLog
    from ims_fake.network import Network
    from ims_fake.pace import Pace
    from ims_fake.templates import Templates
    from ims_fake.vms import VMs

__all__ = ["HOST", "Machines", "check_carrier", "describe", "seed_bytes"]

HOST = "fake"
_ENDING = {Carrier.ISO: "iso", Carrier.GUEST_PROPERTIES: "json"}


def check_carrier(delivery: Delivery) -> Carrier:
    """The carrier of a delivery, if this provider has it; raises as :func:`describe`."""
    if delivery.carrier not in _ENDING:
        raise UnsupportedError(
            f"provider fake has no carrier {delivery.carrier}",
            code="carrier-impossible",
            hint=f"it has {', '.join(_ENDING)}",
        )
    return delivery.carrier


def seed_bytes(delivery: Delivery) -> bytes:
    """What a seed holds: the medium, or the keys and values as JSON."""
    return delivery.medium or json.dumps(dict(delivery.values)).encode()


def describe(spec: VMSpec, delivery: Delivery, mark: Mark) -> Domain:
    """The description of a new VM.

    Raises:
        UnsupportedError: ``carrier-impossible``.
    """
    stem = f"{spec.name}-{mark.operation}"
    return Domain(
        name=spec.name,
        uuid=spec.uuid,
        mark=mark,
        template=spec.template.name,
        memory=spec.memory,
        vcpus=spec.vcpus,
        volume=f"{stem}.img",
        seed=f"{stem}.{_ENDING[check_carrier(delivery)]}",
        overlay=f"{stem}.iso" if delivery.overlay else "",
        carrier=delivery.carrier,
        interfaces=spec.interfaces,
    )


class Machines:
    """The VMs of one pool, as far as their making and unmaking goes."""

    def __init__(
        self, vms: VMs, network: Network, templates: Templates, pace: Pace, capacity: int
    ) -> None:
        """Keep the parts."""
        self._directory = vms.directory
        self._guests = vms.guests
        self._network = network
        self._templates = templates
        self._pace = pace
        self._capacity = capacity

    def prepare(self, spec: VMSpec) -> VMSpec:
        """Complete and check a spec."""
        if spec.host not in ("", HOST):
            raise NotFoundError(
                f"there is no host {spec.host!r}", code="host-not-found", hint=f"use {HOST}"
            )
        if spec.disk < spec.template.virtual_size:
            raise InvalidError(
                f"disk {spec.disk} is smaller than template {spec.template.name!r}",
                hint=f"ask for at least {spec.template.virtual_size} bytes",
            )
        return replace(spec, interfaces=self._checked(spec))

    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        """Make the volume, the seed, and last the description, which takes the name."""
        domain = describe(spec, delivery, mark)
        self._checked(spec)
        undo.announce("volume", domain.volume)
        volume = self._directory.path("volume", domain.volume)
        self._directory.make(volume, spec.disk, self._capacity)
        self._pace.step("create.volume")
        self._finish(domain, spec, delivery, undo)

    def clone(
        self, source: Domain, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog
    ) -> None:
        """The same with a copy of another VM's volume."""
        refuse_running(source)
        domain = describe(spec, delivery, mark)
        self._checked(spec)
        undo.announce("volume", domain.volume)
        volume = self._directory.path("volume", domain.volume)
        self._directory.copy(self._directory.path("volume", source.volume), volume, self._capacity)
        self._pace.step("clone.volume")
        self._finish(domain, spec, delivery, undo, source.uuid)

    def _finish(
        self, domain: Domain, spec: VMSpec, delivery: Delivery, undo: UndoLog, source: str = ""
    ) -> None:
        """Make what a VM has besides its volume, and its description last."""
        self._put("seed", domain.seed, seed_bytes(delivery), undo)
        if domain.overlay:
            self._put("overlay", domain.overlay, delivery.overlay, undo)
        undo.announce("domain", spec.uuid)
        self._pace.step("create.domain")
        if source:
            self._guests.copy(source, spec.uuid)
        with self._directory.locked():
            self._checked(spec)
            self._directory.save(domain)

    def _put(self, kind: str, name: str, content: bytes, undo: UndoLog) -> None:
        """Make a medium; there is room for it before it is written."""
        undo.announce(kind, name)
        path = self._directory.path(kind, name)
        self._directory.make(path, len(content), self._capacity)
        self._pace.step(f"create.{kind}")
        self._directory.write(path, content)

    def delete(self, domain: Domain) -> None:
        """Remove all of a VM; the description goes last, so that this can be done again."""
        self._guests.forget(domain.uuid)
        self.forget_memory(domain.uuid)
        for kind in FILES:
            if (name := getattr(domain, kind)) and _is_ours(domain):
                self._directory.remove(self._directory.path(kind, name))
        self._directory.remove(self._directory.path("domain", domain.uuid))

    def refuse_theirs(self, domain: Domain) -> None:
        """Refuse to delete the memory of a VM that was adopted: it is its owner's."""
        if not _is_ours(domain):
            refuse_suspended(domain)

    def save_memory(self, domain: Domain) -> None:
        """Put a VM's memory into the pool; again, if an earlier try was cut short."""
        self.forget_memory(domain.uuid)
        memory = self._directory.path("memory", domain.uuid)
        self._directory.make(memory, domain.memory or 0, self._capacity)

    def forget_memory(self, uuid: str) -> None:
        """Remove what was saved of a VM's memory, if anything was."""
        self._directory.remove(self._directory.path("memory", uuid))

    def complete(self, domain: Domain, interfaces: tuple[Interface, ...]) -> tuple[Interface, ...]:
        """Check and complete cards that a VM is to have from now on."""
        others = holders(self._directory.domains(), without=domain.uuid)
        return self._network.complete(interfaces, others)

    def discard(self, resource: Resource) -> Discarded:
        """Remove one announced resource, if it is of that operation."""
        if resource.kind not in PLACES:
            return Discarded.ABSENT
        self._pace.step(f"discard.{resource.kind}")
        with self._directory.locked():
            if resource.kind == "domain":
                domain = self._directory.domain(resource.name)
                ours = domain is None or (
                    domain.mark is not None and domain.mark.operation == resource.operation
                )
            else:
                stem = resource.name.rpartition(".")[0]
                ours = bool(resource.operation) and stem.endswith(f"-{resource.operation}")
            path = self._directory.path(resource.kind, resource.name)
            if not ours:
                return Discarded.NOT_OURS if path.exists() else Discarded.ABSENT
            if resource.kind == "domain":
                self._guests.forget(resource.name)
                self.forget_memory(resource.name)
            removed = self._directory.remove(path)
            return Discarded.REMOVED if removed else Discarded.ABSENT

    def _checked(self, spec: VMSpec) -> tuple[Interface, ...]:
        """The cards completed, after a look at everything that may be taken or gone."""
        domains = self._directory.domains()
        if any(spec.name == each.name or spec.uuid == each.uuid for each in domains):
            raise ConflictError(
                f"there is a VM {spec.name!r} already",
                code="vm-exists",
                vm=spec.name,
                hint="choose another name",
            )
        if not self._templates.has(spec.template.name):
            raise template_missing(spec.template.name)
        return self._network.complete(spec.interfaces, holders(domains))


def _is_ours(domain: Domain) -> bool:
    """Whether IMS has made it; one that was adopted is not."""
    return domain.mark is not None and bool(domain.mark.operation)
