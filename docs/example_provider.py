"""A whole provider, for a hypervisor that is a dictionary: it passes the suite."""

from dataclasses import dataclass, replace
from threading import Lock
from time import monotonic, time
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ims_core import errors, models
from ims_core.spi import Discarded, Provider


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    region: str = Field("here", description="Which of the dictionaries.")


@dataclass(frozen=True)
class Machine:
    spec: models.VMSpec
    delivery: models.Delivery
    mark: models.Mark
    state: models.State = models.State.DEFINED
    started: float = 0.0


REGIONS: dict[str, dict[str, Machine]] = {}  # your hypervisor stands here
LOCK = Lock()


class ExampleProvider(Provider):
    name: ClassVar = "example"
    spi: ClassVar = "1.0"
    features: ClassVar = models.Features(
        carriers={models.Carrier.ISO: models.CarrierLimits(max_bytes=64 << 20)},
        template_formats=("raw",),
    )

    def __init__(self, region):
        self._machines = REGIONS.setdefault(region, {})

    @classmethod
    def settings(cls):
        return Settings

    @classmethod
    def open(cls, settings):
        return cls(settings["region"])

    def close(self):
        pass

    def check(self):
        yield models.Finding("region", f"{len(self._machines)} VMs", ok=True)

    def hosts(self):
        return ()

    def prepare(self, spec):
        if spec.host:
            raise errors.NotFoundError(f"there is no host {spec.host!r}", code="host-not-found")
        if spec.disk < spec.template.virtual_size:
            raise errors.InvalidError(f"disk {spec.disk} is smaller than the template")
        self._refuse_namesake(spec.name)
        return replace(spec, interfaces=self._cards(spec.interfaces))

    def plan(self, spec, delivery, mark):
        return f"{spec}\n{mark}"

    def create(self, spec, delivery, mark, undo):
        if delivery.carrier not in self.features.carriers:
            raise errors.UnsupportedError("only by CD", code="carrier-impossible")
        if spec.template.name != "example":
            raise errors.NotFoundError("there is no such template", code="template-not-found")
        undo.announce("vm", spec.uuid)  # before it is made; a VM is known by its mark
        with LOCK:
            self._refuse_namesake(spec.name)
            self._machines[spec.uuid] = Machine(spec, delivery, mark)

    def start(self, vm, delivery):
        machine = self._existing(vm)
        if machine.state is models.State.RUNNING:
            raise errors.ConflictError(f"{machine.spec.name} runs already", code="vm-running")
        if delivery is not None and delivery.nonce != machine.mark.nonce:
            told = replace(machine.mark, digest=delivery.digest, nonce=delivery.nonce)
            machine = replace(machine, delivery=delivery, mark=told)
        self._machines[vm] = replace(machine, state=models.State.RUNNING, started=monotonic())

    def stop(self, vm, *, force, timeout):
        machine = self._existing(vm)
        if machine.state is models.State.RUNNING:
            self._machines[vm] = replace(machine, state=models.State.STOPPED)

    def delete(self, vm):
        self._machines.pop(vm, None)

    def write_mark(self, vm, mark):
        self._machines[vm] = replace(self._existing(vm), mark=mark)

    def inspect(self, vms=None, *, evidence=False, known=()):
        return [
            models.VM(
                name=each.spec.name,
                uuid=uuid,
                state=each.state,
                mark=each.mark if each.mark.vm == uuid else None,
                memory=each.spec.memory,
                vcpus=each.spec.vcpus,
            )
            for uuid, each in self._found(vms)
        ]

    def metrics(self, vms=None):
        return [
            models.Metrics(each.spec.name, uuid, time(), cpu_seconds=monotonic() - each.started)
            for uuid, each in self._found(vms)
            if each.state is models.State.RUNNING
        ]

    def set_addresses(self, vm, interfaces):
        self._existing(vm)
        return self._cards(interfaces)

    def discard(self, resource):
        machine = self._machines.get(resource.name)
        if machine is None:
            return Discarded.ABSENT
        if not resource.operation or machine.mark.operation != resource.operation:
            return Discarded.NOT_OURS
        del self._machines[resource.name]
        return Discarded.REMOVED

    def _found(self, vms):
        found = list(self._machines.items())
        return [(i, m) for i, m in found if vms is None or i in vms or m.spec.name in vms]

    def _existing(self, vm):
        if vm not in self._machines:
            raise errors.NotFoundError(f"there is no VM {vm!r}", code="vm-not-found")
        return self._machines[vm]

    def _refuse_namesake(self, name):
        if any(each.spec.name == name for each in list(self._machines.values())):
            raise errors.ConflictError(f"there is a VM {name!r} already", code="vm-exists")

    def _cards(self, cards):
        if odd := {card.network for card in cards} - {"", "lan"}:
            raise errors.NotFoundError(f"no network {odd.pop()!r}", code="network-not-found")
        return tuple(replace(card, network="lan") for card in cards)
