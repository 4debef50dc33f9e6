"""A hypervisor in memory. It stands for yours, and goes when yours is there.

It has in small what a hypervisor's client library has, and knows nothing of IMS: machines with a
power state and tags of free text, volumes, images, a network with DHCP, serial ports. Each address
is a hypervisor of its own; it lasts as long as the process, whoever connects to it.
"""

# YOURS: your hypervisor's client library in place of this module, or a thin layer over its API.

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import RLock

from . import guest

__all__ = [
    "POWER_STATES",
    "ApiError",
    "Card",
    "Hypervisor",
    "Image",
    "Machine",
    "Network",
    "connect",
]

POWER_STATES = ("new", "starting", "on", "frozen", "saved", "stopping", "off", "failed")
"""As its manual lists them; machines of this one are `new`, `on` or `off`."""


class ApiError(Exception):
    """How it refuses; `reason` is one word of its API."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Card:
    """A network card of a machine."""

    mac: str
    network: str


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine: sizes in bytes, the names of its volumes, and one of `POWER_STATES`."""

    uuid: str
    name: str
    cpus: int = 1
    memory: int = 64 << 20
    image: str = ""
    disk: str = ""
    cd: str = ""
    cards: tuple[Card, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    power: str = "new"


@dataclass(frozen=True, slots=True)
class Image:
    """What disks are made from; one without a title is not published yet."""

    name: str
    content: bytes = field(repr=False)
    title: str = ""
    note: str = ""

    @property
    def sha256(self) -> str:
        """Of its content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Network:
    """A network whose DHCP server gives out the addresses from `.128` on."""

    name: str
    subnet: str
    gateway: str


class Hypervisor:
    """The connection to one. Any thread may use it."""

    def __init__(self, address: str) -> None:
        """A new hypervisor, with one image and one network."""
        self.address = address
        self.cpus, self.memory, self.storage = 8, 64 << 30, 1 << 40
        self.machines: dict[str, Machine] = {}
        self.volumes: dict[str, tuple[int, bytes]] = {}
        self.images = {"tiny": Image("tiny", b"\x55" * 65536, title="tiny")}
        self.networks = {"lan": Network("lan", "192.0.2.0/24", "192.0.2.1")}
        self._leases: dict[str, str] = {}
        self._serial: dict[str, bytes] = {}
        self._started: dict[str, float] = {}
        self._lock = RLock()

    # --- machines ---

    def list_machines(self) -> list[Machine]:
        """All of them."""
        with self._lock:
            return list(self.machines.values())

    def define(self, machine: Machine) -> None:
        """Make a machine that is off."""
        with self._lock:
            if any(machine.name == each.name for each in self.machines.values()):
                raise ApiError("machine-exists", f"there is a machine {machine.name!r}")
            self.machines[machine.uuid] = machine

    def undefine(self, uuid: str) -> bool:
        """Forget a machine, but not its volumes; whether it was there."""
        with self._lock:
            machine = self.machines.pop(uuid, None)
            self._serial.pop(uuid, None)
            for card in machine.cards if machine else ():
                self._leases.pop(card.mac, None)
            return machine is not None

    def set_tag(self, uuid: str, key: str, text: str) -> None:
        """Write one of a machine's tags, in one step."""
        with self._lock:
            machine = self._machine(uuid)
            self.machines[uuid] = replace(machine, tags={**machine.tags, key: text})

    def power_on(self, uuid: str) -> None:
        """Start a machine. Its guest reads its CD at once."""
        with self._lock:
            machine = self._machine(uuid)
            if machine.power == "on":
                raise ApiError("wrong-power", f"machine {machine.name!r} is on")
            for volume in filter(None, (machine.disk, machine.cd)):
                if volume not in self.volumes:
                    raise ApiError("no-volume", f"there is no volume {volume!r}")
            cd = self.volumes[machine.cd][1] if machine.cd else b""
            self._serial[uuid] = guest.boot(cd, self._lease)
            self._started[uuid] = time.time()
            self.machines[uuid] = replace(machine, power="on")

    def press_power_button(self, uuid: str) -> None:
        """Ask the guest to shut down; this one does so at once."""
        self.power_off(uuid)

    def power_off(self, uuid: str) -> None:
        """Take the power away."""
        with self._lock:
            machine = self._machine(uuid)
            if machine.power == "on":
                self.machines[uuid] = replace(machine, power="off")

    def serial_logs(self) -> dict[str, bytes]:
        """What the guest of each machine has printed since its last start, by UUID."""
        with self._lock:
            return dict(self._serial)

    def uptimes(self) -> dict[str, float]:
        """Seconds since the start of each machine that is on, by UUID."""
        with self._lock:
            running = [each.uuid for each in self.machines.values() if each.power == "on"]
            return {uuid: time.time() - self._started[uuid] for uuid in running}

    # --- storage ---

    def list_volumes(self) -> set[str]:
        """The names of all."""
        with self._lock:
            return set(self.volumes)

    def free_storage(self) -> int:
        """Bytes that are left."""
        with self._lock:
            images = sum(len(each.content) for each in self.images.values())
            return self.storage - images - sum(size for size, _ in self.volumes.values())

    def clone_image(self, title: str, volume: str, size: int) -> None:
        """Make a disk of this size from an image."""
        with self._lock:
            image = next((each for each in self.images.values() if each.title == title), None)
            if image is None:
                raise ApiError("no-image", f"there is no image {title!r}")
            self._put(volume, size, image.content)

    def write_volume(self, volume: str, content: bytes) -> None:
        """Make a volume of these bytes, or replace its content, in one step."""
        with self._lock:
            self._put(volume, len(content), content)

    def delete_volume(self, volume: str) -> bool:
        """Remove a volume; whether it was there."""
        with self._lock:
            return self.volumes.pop(volume, None) is not None

    def list_images(self) -> dict[str, Image]:
        """All of them, by name."""
        with self._lock:
            return dict(self.images)

    def upload_image(self, name: str, content: bytes) -> None:
        """Store an image that nobody can use yet."""
        with self._lock:
            if len(content) > self.free_storage():
                raise ApiError("storage-full", f"image {name!r} is too large")
            self.images[name] = Image(name, content)

    def publish_image(self, name: str, title: str, note: str) -> None:
        """Give an image a title, by which disks can be made from it, and a note of free text."""
        with self._lock:
            if any(each.title == title for each in self.images.values()):
                raise ApiError("image-exists", f"there is an image {title!r}")
            self.images[name] = replace(self.images[name], title=title, note=note)

    def delete_image(self, name: str) -> bool:
        """Remove an image that no machine was made from; whether it was there."""
        with self._lock:
            title = self.images[name].title if name in self.images else ""
            users = [each.name for each in self.machines.values() if title and each.image == title]
            if users:
                raise ApiError("image-in-use", f"image {title!r} is in use by {users[0]!r}")
            return self.images.pop(name, None) is not None

    # --- networks ---

    def list_networks(self) -> dict[str, Network]:
        """All of them, by name."""
        return self.networks

    def list_leases(self) -> dict[str, str]:
        """The addresses that DHCP has given out, by MAC."""
        with self._lock:
            return dict(self._leases)

    # --- parts ---

    def _machine(self, uuid: str) -> Machine:
        if uuid not in self.machines:
            raise ApiError("no-machine", f"there is no machine {uuid}")
        return self.machines[uuid]

    def _put(self, volume: str, size: int, content: bytes) -> None:
        if size > self.free_storage():
            raise ApiError("storage-full", f"volume {volume!r} is too large")
        self.volumes[volume] = (size, content)

    def _lease(self, mac: str) -> str:
        if mac not in self._leases:
            free = {f"192.0.2.{last}/24" for last in range(128, 255)} - {*self._leases.values()}
            if not free:
                raise ApiError("network-full", "the DHCP server has no address left")
            self._leases[mac] = min(free)
        return self._leases[mac]


_KNOWN: dict[str, Hypervisor] = {}
_KNOWN_LOCK = RLock()


def connect(address: str) -> Hypervisor:
    """The hypervisor at this address."""
    with _KNOWN_LOCK:
        return _KNOWN.setdefault(address, Hypervisor(address))
