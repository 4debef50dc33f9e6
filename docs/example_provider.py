"""A whole provider, for a hypervisor that is a dictionary: it passes the suite."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from time import monotonic, time
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from ims_core import errors, models
from ims_core.models import VM, Delivery, Interface, Mark, Resource, State, VMSpec
from ims_core.spi import NOTHING_KNOWN, Discarded, Provider, UndoLog


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    region: str = Field("here", description="Which of the dictionaries.")


@dataclass(frozen=True)
class Machine:
    spec: VMSpec
    delivery: Delivery
    mark: Mark
    state: State = State.DEFINED
    started: float = 0.0


REGIONS: dict[str, dict[str, Machine]] = {}  # your hypervisor stands here
LOCK = Lock()


class ExampleProvider(Provider):
    name: ClassVar[str] = "example"
    spi: ClassVar[str] = "1.0"
    features: ClassVar[models.Features] = models.Features(
        carriers={models.Carrier.ISO: models.CarrierLimits(max_bytes=64 << 20)},
        template_formats=("raw",),
    )

    def __init__(self, region: str) -> None:
        self._machines = REGIONS.setdefault(region, {})

    @classmethod
    def settings(cls) -> type[BaseModel]:
        return Settings

    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        return cls(settings["region"])

    def close(self) -> None:
        pass

    def check(self) -> Iterator[models.Finding]:
        yield models.Finding("region", f"{len(self._machines)} VMs", ok=True)

    def hosts(self) -> Sequence[models.Host]:
        return ()

    def prepare(self, spec: VMSpec) -> VMSpec:
        if spec.host:
            raise errors.NotFoundError(f"there is no host {spec.host!r}", code="host-not-found")
        if spec.disk < spec.template.virtual_size:
            raise errors.InvalidError(f"disk {spec.disk} is smaller than the template")
        self._refuse_namesake(spec.name)
        return replace(spec, interfaces=self._cards(spec.interfaces))

    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:
        return f"{spec}\n{mark}"

    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        if delivery.carrier not in self.features.carriers:
            raise errors.UnsupportedError("only by CD", code="carrier-impossible")
        if spec.template.name != "example":
            raise errors.NotFoundError("there is no such template", code="template-not-found")
        undo.announce("vm", spec.uuid)  # before it is made; a VM is known by its mark
        with LOCK:
            self._refuse_namesake(spec.name)
            self._machines[spec.uuid] = Machine(spec, delivery, mark)

    def start(self, vm: str, delivery: Delivery | None) -> None:
        machine = self._existing(vm)
        if machine.state is State.RUNNING:
            raise errors.ConflictError(f"{machine.spec.name} runs already", code="vm-running")
        if delivery is not None and delivery.nonce != machine.mark.nonce:
            told = replace(machine.mark, digest=delivery.digest, nonce=delivery.nonce)
            machine = replace(machine, delivery=delivery, mark=told)
        self._machines[vm] = replace(machine, state=State.RUNNING, started=monotonic())

    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        machine = self._existing(vm)
        if machine.state is State.RUNNING:
            self._machines[vm] = replace(machine, state=State.STOPPED)

    def delete(self, vm: str) -> None:
        self._machines.pop(vm, None)

    def write_mark(self, vm: str, mark: Mark) -> None:
        self._machines[vm] = replace(self._existing(vm), mark=mark)

    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,
    ) -> Sequence[VM]:
        return [
            VM(
                name=each.spec.name,
                uuid=uuid,
                state=each.state,
                mark=each.mark if each.mark.vm == uuid else None,
                memory=each.spec.memory,
                vcpus=each.spec.vcpus,
            )
            for uuid, each in self._found(vms)
        ]

    def metrics(self, vms: Collection[str] | None = None) -> Sequence[models.Metrics]:
        return [
            models.Metrics(each.spec.name, uuid, time(), cpu_seconds=monotonic() - each.started)
            for uuid, each in self._found(vms)
            if each.state is State.RUNNING
        ]

    def set_addresses(self, vm: str, interfaces: Sequence[Interface]) -> Sequence[Interface]:
        self._existing(vm)
        return self._cards(interfaces)

    def discard(self, resource: Resource) -> Discarded:
        machine = self._machines.get(resource.name)
        if machine is None:
            return Discarded.ABSENT
        if not resource.operation or machine.mark.operation != resource.operation:
            return Discarded.NOT_OURS
        del self._machines[resource.name]
        return Discarded.REMOVED

    def _found(self, vms: Collection[str] | None) -> list[tuple[str, Machine]]:
        found = list(self._machines.items())
        return [(i, m) for i, m in found if vms is None or i in vms or m.spec.name in vms]

    def _existing(self, vm: str) -> Machine:
        if vm not in self._machines:
            raise errors.NotFoundError(f"there is no VM {vm!r}", code="vm-not-found")
        return self._machines[vm]

    def _refuse_namesake(self, name: str) -> None:
        if any(each.spec.name == name for each in list(self._machines.values())):
            raise errors.ConflictError(f"there is a VM {name!r} already", code="vm-exists")

    def _cards(self, cards: Sequence[Interface]) -> tuple[Interface, ...]:
        if odd := {card.network for card in cards} - {"", "lan"}:
            raise errors.NotFoundError(f"no network {odd.pop()!r}", code="network-not-found")
        return tuple(replace(card, network="lan") for card in cards)
