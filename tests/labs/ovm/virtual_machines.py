"""VirtualMachineService and LifecycleService: what becomes of VMs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.labs.ovm import names
from tests.labs.ovm.agent import Agent
from tests.labs.ovm.store import STATUSES, RefusedError
from tests.labs.ovm.vm_file import Card, Order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.labs.ovm.jobs import Jobs
    from tests.labs.ovm.store import VM, Pool, Store
    from tests.labs.ovm.wire import Given, Result

__all__ = ["VirtualMachines"]


@dataclass(frozen=True, slots=True)
class _Power:
    """A power operation: from which statuses, by way of which, and what the agent does."""

    allowed: frozenset[str]
    passing: str
    act: Callable[[Agent, VM], None]


_OFF, _RUNNING = frozenset({"ERROR", "POWEREDOFF"}), frozenset({"RUNNING"})
_PAUSED, _SUSPENDED = frozenset({"PAUSED"}), frozenset({"SUSPENDED"})
_ENDABLE = _RUNNING | _PAUSED | _SUSPENDED | {"ERROR", "REBOOTING", "SHUTTINGDOWN"}
_POWER = {
    "powerOn": _Power(_OFF, "INITIALIZING", Agent.start),
    "powerOff": _Power(_ENDABLE, "SHUTTINGDOWN", Agent.power_off),
    "shutdown": _Power(_RUNNING, "SHUTTINGDOWN", Agent.shutdown),
    "reboot": _Power(_RUNNING, "REBOOTING", Agent.reboot),
    "suspend": _Power(_RUNNING, "SUSPENDING", Agent.suspend),
    "resume": _Power(_SUSPENDED, "RESUMING", Agent.resume),
    "pause": _Power(_RUNNING, "PAUSING", Agent.pause),
    "unpause": _Power(_PAUSED, "UNPAUSING", Agent.unpause),
}
_SETTLED = _RUNNING | _PAUSED | _SUSPENDED | _OFF


class VirtualMachines:
    """The VMs of one Manager.

    Attributes:
        operations: By name, what answers a request.
    """

    def __init__(self, store: Store, agent: Agent, jobs: Jobs, bridge: str) -> None:
        """Nothing is done yet."""
        self._store, self._agent, self._jobs, self._bridge = store, agent, jobs, bridge
        self.operations: Mapping[str, Callable[[str, Given], Result]] = {
            "getAllVMs": self._all,
            "getVMByName": self._by_name,
            "getRealPath": self._real_path,
            "deleteVMByVMId": self._delete,
            "createPropertiesFileOnVirtualMachine": self._write_properties,
            "createVmBasedOnTemplate": self._create,
            **dict.fromkeys(_POWER, self._power),
        }

    def recover(self) -> None:
        """End what a Manager that died has left half done."""
        for vm in (vm for pool in self._store.pools() for vm in self._store.vms(pool)):
            if vm.status == "CREATING":
                self._store.finish(vm, "ERROR", "the Manager ended while it was created")
            elif vm.status == "DELETING":
                self._remove("deleteVMByVMId", vm)
            elif vm.status not in _SETTLED:
                self._store.finish(vm, self._look(vm, self._agent.domains()))

    # --- what is ---

    def refresh(self, pool: Pool) -> list[VM]:
        """The pool's VMs, of which some may have powered themselves off, say."""
        vms = self._store.vms(pool)  # before the dom0 is asked: a job's end is newer than that
        domains = self._agent.domains()
        for vm in vms:
            known = vm.status in _RUNNING | _PAUSED or vm.uuid in domains
            if known and vm.status in _SETTLED and vm.status != "ERROR":
                self._store.finish(vm, self._look(vm, domains))
        return self._store.vms(pool)

    def _look(self, vm: VM, domains: Mapping[str, str]) -> str:
        if vm.uuid in domains:
            return "PAUSED" if "p" in domains[vm.uuid] else "RUNNING"
        return "SUSPENDED" if self._agent.suspended(vm) else "POWEREDOFF"

    def _all(self, _: str, given: Given) -> Result:
        pool = self._store.pool(given.child("serverPool").text("serverPoolName"))
        return [self._view(vm) for vm in self.refresh(pool)]

    def _by_name(self, _: str, given: Given) -> Result:
        pool, name = self._store.pool(given.text("serverPoolName")), given.text("name")
        self.refresh(pool)
        return self._view(self._store.vm(pool, name))

    def _real_path(self, _: str, given: Given) -> Result:
        return self._agent.folder(self._vm(given))

    def _vm(self, given: Given) -> VM:
        return self._store.vm_by_id(given.child("vm").number("imgId"))

    # --- what becomes ---

    def _create(self, operation: str, given: Given) -> None:
        config = given.child("config")
        pool = self._store.pool(config.child("targetServerPool").text("serverPoolName"))
        template = self._store.template(pool, config.text("templateName"))
        if template.status != "Active":
            raise RefusedError(f"template {template.name} is {template.status}")
        memory, cpus = config.number("memory"), config.number("cpuNumber")
        if memory < 1 or cpus < 1:
            raise RefusedError(f"{memory} MiB and {cpus} CPUs make no virtual machine")
        cards = tuple(
            Card(
                names.card_address(card.optional("macAddress") or ""),
                names.name(card.optional("bridge") or self._bridge),
            )
            for card in config.children("vif")
        )
        vm = self._store.add_vm(
            pool,
            names.name(config.text("vmName")),
            status="CREATING",
            memory=memory,
            cpus=cpus,
            vnc_password=names.password(config.text("consolePassword")),
            template=template.id,
        )
        order = Order(
            domain=vm.folder,
            name=vm.name,
            uuid=vm.uuid,
            memory=memory,
            cpus=cpus,
            vnc_password=vm.vnc_password,
            cards=cards or (Card("", self._bridge),),
            folder=self._agent.folder(vm),
        )
        self._job(
            operation,
            vm,
            lambda: self._agent.create(order, template.name),
            lambda: self._store.finish(vm, "POWEREDOFF"),
        )

    def _power(self, operation: str, given: Given) -> None:
        vm, power = self._vm(given), _POWER[operation]
        self.refresh(self._pool(vm))
        vm = self._store.begin(vm, power.allowed, power.passing)
        self._job(
            operation,
            vm,
            lambda: power.act(self._agent, vm),
            lambda: self._store.finish(vm, self._look(vm, self._agent.domains())),
        )

    def _delete(self, operation: str, given: Given) -> None:
        vm = self._store.vm_by_id(given.number("vmId"))
        self.refresh(self._pool(vm))
        self._remove(operation, self._store.begin(vm, _OFF, "DELETING"))

    def _remove(self, operation: str, vm: VM) -> None:
        self._job(operation, vm, lambda: self._agent.delete(vm), lambda: self._store.remove_vm(vm))

    def _write_properties(self, _: str, given: Given) -> None:
        properties = names.properties(given.entries("properties"))
        file = names.name(given.text("propFileName"))
        self._agent.write_properties(self._vm(given), file, properties)

    def _job(
        self, operation: str, vm: VM, act: Callable[[], object], then: Callable[[], object]
    ) -> None:
        def work() -> None:
            act()
            if not self._jobs.killed:
                then()

        self._jobs.start(operation, work, lambda why: self._store.finish(vm, "ERROR", why))

    def _pool(self, vm: VM) -> Pool:
        return next(pool for pool in self._store.pools() if pool.id == vm.pool)

    def _view(self, vm: VM) -> Result:
        """A VirtualMachine, its fields in the schema's order."""
        return {
            "imgName": vm.name,
            "comments": vm.message,
            "imgId": vm.id,
            "bootDevice": {"bootDevice": "HDD"},
            "imgSize": None,
            "vncPassword": vm.vnc_password,
            "maximumMemory": vm.memory,
            "publish": None,
            "cpuNumber": vm.cpus,
            "haEnable": False,
            "uuid": vm.uuid,
            "operatingSystemName": None,
            "createTime": vm.created,
            "parentImg": vm.template,
            "systemPassword": None,
            "location": self._agent.folder(vm),
            "memory": vm.memory,
            "systemLogin": None,
            "platform": None,
            "deploy": None,
            "status": {"code": STATUSES.index(vm.status), "status": vm.status, "vmId": vm.id},
            "vncPort": -1,
            "imgIp": None,
            "poweronTime": 0,
            "architecture": None,
            "virtualMachineType": {"vmType": "VM_TYPE_PVM"},
            "keyboardLayout": None,
            "pvdriver": False,
        }
