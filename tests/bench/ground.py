"""Where both sides work: a storage pool of the benchmark's own, with one image for both.

Everything that the benchmark makes in libvirt is in that pool or has a name that begins with
:data:`PREFIX`, so that whatever a killed run left is found and removed by the next.
"""

from __future__ import annotations

import itertools
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ims_core import Ims, Wait
from tests.bench import tools
from tests.labs import tiny_guest
from tests.labs.commands import run
from tests.labs.kvm.resources import names, virsh

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.tools import Tool
    from tests.labs.kvm import KvmLab

__all__ = [
    "EMPTY",
    "EMPTY_BYTES",
    "MEMORY",
    "PREFIX",
    "Ground",
    "prepared",
    "remove_vms",
    "shielded",
]

PREFIX = "ims-bench"
MEMORY = 128 << 20
EMPTY = "empty"
EMPTY_BYTES = 1 << 20
_TEMPLATE = "tiny"
_MOST_AT_ONCE = 100

_IMS_TOML = """\
[pools.bench]
provider = "kvm"
template = "{template}"
uri = "{uri}"
storage_pool = "{pool}"
storage_path = "{path}"
network = "{network}"
"""
_KCLI_YML = """\
default:
  client: bench
bench:
  type: kvm
  host: 127.0.0.1
  pool: {pool}
  nets: [{network}]
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """The two sides, and what they have in common.

    Attributes:
        image: The volume that is IMS's template and kcli's image.
        empty: The same for a disk with nothing on it.
        root: Where the sources of the benchmark are.
    """

    lab: KvmLab
    directory: Path
    ims: Tool
    kcli: Tool
    image: str
    empty: str
    root: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def name(self) -> str:
        """A name for a VM, never given before."""
        return f"{PREFIX}-{next(self._numbers)}"

    def define(self, count: int) -> list[str]:
        """Make VMs by IMS that are not started; returns their names."""
        home = self.ims.directory
        made = []
        with Ims(config=home / "ims.toml", state=home / "state") as service:
            for _ in range(count):
                vm = service.create_vm(self.name(), memory=MEMORY, wait=Wait.DEFINED)
                made.append(vm.name)
        return made


@contextmanager
def prepared(lab: KvmLab, directory: Path) -> Iterator[Ground]:
    """Make the pool with its image, and remove all that is in it and of it at the end."""
    _clean()
    words = {
        "uri": lab.uri,
        "pool": PREFIX,
        "path": str(lab.pool_path.with_name(PREFIX)),
        "network": lab.network,
        "template": _TEMPLATE,
    }
    ims = tools.ims(directory, _IMS_TOML.format_map(words))
    kcli = tools.kcli(directory, _KCLI_YML.format_map(words))
    tools.compile_ims()
    try:
        options = ("--name", _TEMPLATE, "--layout", "nocloud", "--min-memory", str(MEMORY))
        ims("import-template", str(tiny_guest.build()), *options)
        image = next(volume for volume in _volumes() if volume.endswith(".qcow2"))
        nothing = directory / "empty.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", nothing, str(EMPTY_BYTES))
        ims("import-template", str(nothing), "--name", EMPTY, "--layout", "nocloud")
        others = (each for each in _volumes() if each != image)
        empty = next(volume for volume in others if volume.endswith(".qcow2"))
        yield Ground(lab, directory, ims, kcli, image, empty, Path.cwd())
    finally:
        with shielded():
            _clean()


@contextmanager
def shielded() -> Iterator[None]:
    """Let no signal interrupt what is done here."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def remove_vms() -> None:
    """Remove every VM of the benchmark and every volume that is not a template's."""
    _remove_domains()
    _remove_volumes(volume for volume in _volumes() if not volume.startswith("ims-template-"))


def _clean() -> None:
    """Remove everything that the benchmark ever made in libvirt."""
    _remove_domains()
    if PREFIX not in names("pool", "--all"):
        return
    if PREFIX not in names("pool"):  # the machine was restarted since
        virsh("pool-build", PREFIX)
        virsh("pool-start", PREFIX)
    virsh("pool-refresh", PREFIX)
    _remove_volumes(_volumes())
    virsh("pool-destroy", PREFIX)
    virsh("pool-delete", PREFIX)
    virsh("pool-undefine", PREFIX)


def _remove_domains() -> None:
    running = [name for name in names("") if name.startswith(PREFIX)]
    _all(f"destroy {name}" for name in running)
    _all(f"undefine {name}" for name in names("", "--all") if name.startswith(PREFIX))


def _remove_volumes(volumes: Iterator[str] | Sequence[str]) -> None:
    _all(f"vol-delete --pool {PREFIX} {volume}" for volume in volumes)


def _volumes() -> list[str]:
    lines = virsh("vol-list", PREFIX).splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def _all(commands: Iterator[str]) -> None:
    """Run commands of virsh, many by one process."""
    waiting = list(commands)
    for start in range(0, len(waiting), _MOST_AT_ONCE):
        virsh("; ".join(waiting[start : start + _MOST_AT_ONCE]))
