"""The same VM as IMS makes, defined and started with virsh."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.bench import BenchError, tools
from tests.bench.ground import PREFIX
from tests.bench.tools import Tool
from tests.labs.kvm.resources import virsh

if TYPE_CHECKING:
    from tests.bench.ground import Ground

__all__ = ["ByHand"]


class ByHand:
    """What somebody would do who knows libvirt well and needs no management."""

    def __init__(self, ground: Ground, template: str = "") -> None:
        """Nothing is made yet.

        Args:
            ground: Where.
            template: Instead of the default one.
        """
        self._options = ("--template", template) if template else ()
        self._ims = ground.ims
        self._directory = ground.directory
        environment = tools.genuine_environment(ground.directory)
        command = ("virsh", "--quiet", "--connect", ground.lab.uri)
        self._virsh = Tool(command, ground.directory, environment)
        self._volumes: dict[str, list[str]] = {}

    def prepare(self, name: str, memory: int, disk: int) -> None:
        """Make all that the domain needs; IMS says what that is, and makes nothing itself."""
        sizes = ("--memory", str(memory), "--vcpus", "1", "--disk", str(disk))
        xml = self._ims("create-vm", name, *sizes, *self._options, "--dry-run").output
        self._xml(name).write_text(xml)
        domain = ET.fromstring(xml)  # noqa: S314 - IMS wrote it a moment ago
        root = _volume(domain, "devices/disk[@device='disk']/source", "file")
        backing = _volume(domain, "devices/disk/backingStore/source", "file")
        seed = _volume(domain, "devices/disk[@device='cdrom']/source", "file")
        plain = [
            seed,
            _volume(domain, "devices/serial/log", "file"),
            _volume(domain, "devices/channel[@type='file']/source", "path"),
        ]
        overlay = f"--format qcow2 --backing-vol {backing} --backing-vol-format qcow2"
        virsh(f"vol-create-as {PREFIX} {root} {disk} {overlay}")
        virsh("; ".join(f"vol-create-as {PREFIX} {volume} 0" for volume in plain))
        self._fill(seed)
        self._volumes[name] = [root, *plain]

    def create(self, name: str) -> float:
        """Define and start it; returns the seconds of the two processes together."""
        return (
            self._virsh("define", str(self._xml(name))).seconds + self._virsh("start", name).seconds
        )

    def remove(self, name: str) -> None:
        """Remove it and its volumes."""
        volumes = (f"vol-delete --pool {PREFIX} {each}" for each in self._volumes.pop(name))
        virsh("; ".join((f"destroy {name}", f"undefine {name}", *volumes)))
        self._xml(name).unlink()

    def _fill(self, seed: str) -> None:
        """Any medium will do: the guest's first look at it comes after the time is taken."""
        medium = self._directory / "medium"
        if not medium.exists():
            medium.write_bytes(bytes(1 << 16))
        virsh(f"vol-upload --pool {PREFIX} {seed} {medium}")

    def _xml(self, name: str) -> Path:
        return self._directory / f"{name}.xml"


def _volume(domain: ET.Element, path: str, attribute: str) -> str:
    found = domain.find(path)
    file = found.get(attribute) if found is not None else None
    if file is None:
        raise BenchError(f"the domain XML has no {path}")
    return PurePath(file).name
