"""A stranger's first try: it was never shown the contract. The test copies it out of the tree."""

import time

from ims_core.models import VM, Carrier, CarrierLimits, Features, Metrics, State
from ims_core.spi import Discarded, Provider
from pydantic import BaseModel

MACHINES = {}


class Settings(BaseModel):
    url: str = "https://cloud.example"


class PoorProvider(Provider):
    name = "poor"
    features = Features(
        carriers={Carrier.ISO: CarrierLimits(max_bytes=64 << 20)}, template_formats=("raw",)
    )

    @classmethod
    def settings(cls):
        return Settings

    @classmethod
    def open(cls, settings):
        print("connected to", settings["url"])
        return cls()

    def close(self):
        MACHINES.clear()

    def check(self):
        return iter(())

    def hosts(self):
        return []

    def prepare(self, spec):
        return spec

    def plan(self, spec, delivery, mark):
        raise NotImplementedError

    def create(self, spec, delivery, mark, undo):
        MACHINES[spec.uuid] = {"spec": spec, "mark": mark, "on": False}
        undo.announce("vm", spec.uuid)

    def start(self, vm, delivery):
        MACHINES[vm]["on"] = True

    def stop(self, vm, *, force, timeout):
        del MACHINES[vm]

    def delete(self, vm):
        del MACHINES[vm]

    def write_mark(self, vm, mark):
        MACHINES[vm]["mark"] = mark

    def inspect(self, vms=None, *, evidence=False, known=()):
        return [
            VM(
                name=each["spec"].name,
                uuid=uuid,
                state=State.RUNNING if each["on"] else State.STOPPED,
                mark=each["mark"],
            )
            for uuid, each in MACHINES.items()
        ]

    def metrics(self, vms=None):
        found = [(uuid, each) for uuid, each in MACHINES.items() if each["on"]]
        return [
            Metrics(each["spec"].name, uuid, time.time() * 1000, memory_used_bytes=0)
            for uuid, each in found
        ]

    def set_addresses(self, vm, interfaces):
        raise NotImplementedError

    def suspend(self, vm):
        raise NotImplementedError

    def discard(self, resource):
        MACHINES.pop(resource.name, None)
        return Discarded.REMOVED
