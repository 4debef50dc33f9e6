"""The Manager's things as typed data, and its verbs, each watched to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ims_core.errors import BusyError, ConfigError, DeadlineError, HypervisorError
from ims_dom0.dom0 import MAKING_SECONDS
from ims_ovm.wire.statuses import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ims_core.models import VMSpec
    from ims_ovm.wire.client import Client
    from ims_ovm.wire.statuses import Statuses

__all__ = ["Image", "Manager", "PoolMetrics", "Server", "watch"]

MIB = 1 << 20  # assumed: the Javadoc names no unit, and its console shows MB
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_NOTICED_SECONDS = 20.0
_PATIENT = ("shut_down",)  # the guest may take its time

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Image:
    """A VM as the Manager has it; it calls them images.

    Attributes:
        id: The Manager's; None while it tells none.
        uuid: Chosen by the Manager; also the domain's; empty while it tells none.
        memory: Bytes.
        password: Of its console, which we chose if we ordered it.
        raw: zeep's object, to be given back.
    """

    id: int | None
    name: str
    uuid: str
    status: Status
    memory: int | None
    vcpus: int | None
    password: str = field(repr=False)
    raw: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Server:
    """A machine of the server pool; memory in bytes."""

    name: str
    cpus: int
    memory: int
    memory_free: int | None


@dataclass(frozen=True, slots=True)
class PoolMetrics:
    """Of the whole server pool; memory and disk in bytes."""

    cpus: int
    memory: int
    memory_free: int
    disk_free: int


class Manager:
    """One server pool of a Manager."""

    def __init__(self, client: Client, statuses: Statuses, server_pool: str) -> None:
        """Nothing is asked yet."""
        self.client = client
        self._statuses = statuses
        self._wanted = server_pool
        self._pool: Any = None

    # --- the server pool ---

    @property
    def pool(self) -> Any:
        """The server pool as zeep's object; asked for once.

        Raises:
            ConfigError: There is none of that name, or several and none was named.
        """
        if self._pool is None:
            self._pool = self._find_pool()
        return self._pool

    @property
    def pool_name(self) -> str:
        """The server pool's name."""
        return str(self._wanted or self.client.read("ServerPool", self.pool, "serverPoolName"))

    def servers(self) -> list[Server]:
        """The machines of the pool, with their free memory where the Manager tells it."""
        number = self.client.read("ServerPool", self.pool, "serverPoolId")
        found = self._list("servers", number)
        ids = [self.client.read("VirtualServer", each, "serverId") for each in found]
        metrics = self._list("server_metrics", ids) if ids else []
        free = {
            self.client.read("VirtualServerMetrics", each, "virtualServerID"): self.client.read(
                "VirtualServerMetrics", each, "freeMemory"
            )
            for each in metrics
        }
        return [
            self._server(each, free.get(number)) for each, number in zip(found, ids, strict=True)
        ]

    def pool_metrics(self) -> PoolMetrics:
        """What the whole pool has."""
        number = self.client.read("ServerPool", self.pool, "serverPoolId")
        told = self.client.call("pool_metrics", number, subject="server pool")

        def of(field: str) -> int:
            return int(self.client.read("ServerPoolMetrics", told, field) or 0)

        return PoolMetrics(
            cpus=of("totalNumOfCpus"),
            memory=of("totalMemory") * MIB,
            memory_free=of("freeMemory") * MIB,
            disk_free=of("freeDiskSpace") * MIB,
        )

    # --- VMs ---

    def images(self) -> list[Image]:
        """All VMs of the pool, by one request."""
        return [self._image(each) for each in self._list("vms", self.pool)]

    def find(self, name: str) -> Image | None:
        """The VM of that name."""
        return next((each for each in self.images() if each.name == name), None)

    def create(self, spec: VMSpec, password: str) -> Image:
        """Have a VM made, and return it when it is there.

        Raises:
            HypervisorError: The Manager refused, or failed on the way.
            DeadlineError: It takes too long; the Manager may still be at work.
        """
        self.client.call("create_vm", self.order(spec, password), subject=f"VM {spec.name}")
        made = watch(
            lambda: self.find(spec.name),
            lambda image: image is not None and not image.status.passing,
            MAKING_SECONDS,
            f"VM {spec.name}: the Manager is still making it",
        )
        if made is None or made.status is not Status.POWEREDOFF:
            raise HypervisorError(
                f"VM {spec.name}: the Manager made it, and says {made.status if made else '?'}",
                code="manager-failed",
                hint="its own log tells why",
            )
        return made

    def plan(self, spec: VMSpec) -> str:
        """The request by which a VM would be made, for people."""
        operation = self.client.table.operations["create_vm"]
        return f"{operation.full_name}\n{self.client.message('create_vm', self.order(spec, '…'))}"

    def order(self, spec: VMSpec, password: str) -> dict[str, object]:
        """What the Manager is told of a new VM."""
        cards = [
            self.client.make("NICConfig", macAddress=card.mac.upper(), bridge=card.network)
            for card in spec.interfaces
        ]
        return self.client.make(
            "TemplateVmConfig",
            vmName=spec.name,
            templateName=spec.template.name,
            targetServerPool=self.pool,
            cpuNumber=spec.vcpus,
            memory=-(-spec.memory // MIB),
            consolePassword=password,
            vif=cards,
        )

    def change(
        self, verb: str, image: Image, wanted: Status, seconds: float, *, subject: str
    ) -> None:
        """Have a VM's power changed, and watch until it is so.

        Raises:
            DeadlineError: It is not so after that time.
            HypervisorError: The Manager refused, or another state came of it.
            BusyError: It refused because it is at work on the VM.
        """
        try:
            self.client.call(verb, image.raw, subject=subject)
        except HypervisorError as error:
            if image.status.passing and error.code == "manager-refused":
                raise BusyError(error.message, hint="try again") from None
            raise
        begun = time.monotonic()

        def settled(now: Image) -> bool:
            if now.status is wanted:
                return True
            # It may take the Manager a moment until it shows that it is at work.
            unnoticed = now.status is image.status and time.monotonic() - begun < _NOTICED_SECONDS
            patient = verb in _PATIENT and now.status is not Status.ERROR
            return not (now.status.passing or unnoticed or patient)

        now = watch(
            lambda: self._named(image.name), settled, seconds, f"{subject}: it is not {wanted} yet"
        )
        if now.status is not wanted:
            raise HypervisorError(
                f"{subject}: the Manager was to have it {wanted}, and it is {now.status}",
                code="manager-failed",
                hint="the Manager's own log tells why; `ims show-vm` shows what it is now",
            )

    def at_rest(self, image: Image, seconds: float) -> Image:
        """A VM as it is when the Manager is no longer at work on it.

        Raises:
            DeadlineError: It is still at work after that time.
        """
        return watch(
            lambda: self._named(image.name),
            lambda now: not now.status.passing,
            seconds,
            f"VM {image.name}: the Manager is still at work on it",
        )

    def delete(self, image: Image, *, subject: str) -> None:
        """Have a VM removed that is off, and watch until it is gone."""
        self.client.call("delete_vm", image.id, subject=subject)
        begun = time.monotonic()

        def gone(now: Image | None) -> bool:
            unnoticed = image.status is Status.ERROR and time.monotonic() - begun < _NOTICED_SECONDS
            return now is None or (now.status is Status.ERROR and not unnoticed)

        now = watch(
            lambda: next((each for each in self.images() if each.id == image.id), None),
            gone,
            MAKING_SECONDS,
            f"{subject}: the Manager is still deleting it",
        )
        if now is not None:
            raise HypervisorError(
                f"{subject}: the Manager could not delete it",
                code="manager-failed",
                hint="its own log tells why; deleting it again goes on",
            )

    def put_properties(self, image: Image, file: str, values: Mapping[str, str]) -> None:
        """Have the Manager put a file of properties into a VM, in whatever way it does."""
        entries = {"mapEntry": [{"key": key, "value": value} for key, value in values.items()]}
        self.client.call("put_properties", entries, image.raw, file, subject=f"VM {image.name}")

    # --- templates ---

    def templates(self) -> dict[str, str]:
        """The status of every template by its name."""
        found = self._list("templates", self.pool_name)
        return {
            str(self.client.read("TemplateResource", each, "templateName")): str(
                self.client.read("TemplateResource", each, "status")
            )
            for each in found
        }

    # --- parts ---

    def _named(self, name: str) -> Image:
        return self._image(self.client.call("vm", self.pool_name, name, subject=f"VM {name}"))

    def _list(self, key: str, *values: object) -> list[Any]:
        found = self.client.call(key, *values, subject=key.replace("_", " "))
        return list(found) if isinstance(found, list) else [] if found is None else [found]

    def _find_pool(self) -> Any:
        if self._wanted:
            found = self.client.call("server_pool", self._wanted, subject="server pool")
            if found is None:
                raise ConfigError(f"the Manager has no server pool {self._wanted!r}")
            return found
        pools = self._list("server_pools")
        if len(pools) != 1:
            names = [str(self.client.read("ServerPool", each, "serverPoolName")) for each in pools]
            raise ConfigError(
                f"the Manager has {len(pools)} server pools, and the pool names none",
                hint=f"set the pool's `server_pool` to one of: {', '.join(names) or 'none'}",
            )
        return pools[0]

    def _image(self, raw: Any) -> Image:
        def of(field: str) -> Any:
            return self.client.read("VirtualMachine", raw, field)

        status = of("status")
        memory, vcpus = of("memory"), of("cpuNumber")
        return Image(
            id=of("imgId"),
            name=str(of("imgName") or ""),
            uuid=str(of("uuid") or "").lower(),
            status=self._statuses.read(
                self.client.read("VmStatus", status, "status"),
                self.client.read("VmStatus", status, "code"),
            ),
            memory=memory * MIB if memory is not None else None,
            vcpus=vcpus,
            password=str(of("vncPassword") or ""),
            raw=raw,
        )

    def _server(self, raw: Any, free: int | None) -> Server:
        def of(field: str) -> Any:
            return self.client.read("VirtualServer", raw, field)

        return Server(
            name=str(of("serverName") or ""),
            cpus=int(of("cpuNum") or 0),
            memory=int(of("memAmount") or 0) * MIB,
            memory_free=free * MIB if free is not None else None,
        )


def watch(look: Callable[[], T], settled: Callable[[T], bool], seconds: float, late: str) -> T:
    """Look again and again until it has settled, and return what was seen last.

    Raises:
        DeadlineError: Not within that time.
    """
    end, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        now = look()
        if settled(now):
            return now
        left = end - time.monotonic()
        if left <= 0:
            raise DeadlineError(late, hint="give it more time, or look at the Manager's log")
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)
