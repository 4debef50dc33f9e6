"""A hundred VMs, and what the store has of the time that one takes."""

from __future__ import annotations

import json
import sys
import time
from functools import wraps
from typing import TYPE_CHECKING, Any

from ims_core import Ims
from ims_core.store.sqlite import SqliteStore
from tests.bench import BenchError, tools
from tests.bench.by_hand import ByHand
from tests.bench.ground import EMPTY, EMPTY_BYTES, PREFIX, remove_vms
from tests.bench.timing import Budget, Row, rounds
from tests.bench.tools import Tool
from tests.labs.commands import progress
from tests.labs.kvm.resources import virsh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.ground import Ground

__all__ = ["hundred", "store"]

_COUNT = 100
_MEMORY = 16 << 20
_SHARE = Budget(0.05)
_CREATES = 20
_LESS_OFTEN = 5


def hundred(ground: Ground, pairs: int) -> Iterator[Row]:
    """As many VMs as a class has, to running; their disks are empty, so that no guest computes.

    IMS and kcli are one process each, virsh two for each VM.
    """
    progress(f"bench: {_COUNT} VMs")
    by_hand = ByHand(ground, template=EMPTY)

    def with_ims() -> float:
        name = ground.name()
        sizes = ("--memory", str(_MEMORY), "--count", str(_COUNT))
        seconds = ground.ims("create-vm", name, *sizes, "--template", EMPTY).seconds
        return _counted(name, seconds)

    def with_kcli() -> float:
        name = ground.name()
        options = ("-P", f"memory={_MEMORY >> 20}", "-P", "numcpus=1", "-c", str(_COUNT))
        seconds = ground.kcli("create", "vm", "-i", ground.empty, *options, name).seconds
        return _counted(name, seconds)

    def with_virsh() -> float:
        names = [f"{ground.name()}-{number}" for number in range(_COUNT)]
        for name in names:
            by_hand.prepare(name, _MEMORY, EMPTY_BYTES)
        seconds = sum(by_hand.create(name) for name in names)
        for name in names:
            by_hand.remove(name)
        return seconds

    try:
        mine, other, plain = rounds(
            (with_ims, with_kcli, with_virsh), max(1, pairs // _LESS_OFTEN), warm_up=False
        )
    finally:
        remove_vms()
    what = f"ims create-vm --count {_COUNT}, to running"
    yield Row(what, f"kcli create vm -c {_COUNT}", mine, other)
    yield Row(what, f"virsh define + virsh start, {_COUNT} times", mine, plain)


def _counted(name: str, seconds: float) -> float:
    """The seconds, once it is sure that all are running; they are removed again."""
    running = [each for each in virsh("list", "--name").split() if each.startswith(name)]
    if len(running) != _COUNT:
        raise BenchError(f"{len(running)} of {_COUNT} VMs named {name}-… are running")
    remove_vms()
    return seconds


def store(ground: Ground, _pairs: int) -> Iterator[Row]:
    """The seconds that a create spends in the store and the log, beside all of its own."""
    progress("bench: the store's share of a create")
    home = ground.ims.directory
    environment = tools.genuine_environment(home, **ground.ims.environment)
    command = (sys.executable, "-m", "tests.bench.many", str(_CREATES))
    try:
        output = Tool(command, ground.root, environment)().output
    finally:
        remove_vms()
    taken = json.loads(output)
    yield Row("of a create, in the store", "all of it", taken["store"], taken["create"], _SHARE)


def _share(count: int) -> dict[str, list[float]]:
    """Create VMs one after the other, and take both times of each; the first does not count."""
    spent = [0.0]
    depth = [0]

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def run(*arguments: Any, **words: Any) -> Any:
            begun = time.perf_counter()
            depth[0] += 1
            try:
                return method(*arguments, **words)
            finally:
                depth[0] -= 1
                if not depth[0]:
                    spent[0] += time.perf_counter() - begun

        return run

    for name, method in list(vars(SqliteStore).items()):
        if not name.startswith("_") and callable(method):
            setattr(SqliteStore, name, timed(method))
    taken: dict[str, list[float]] = {"store": [], "create": []}
    with Ims() as ims:
        for number in range(count + 1):
            spent[0], begun = 0.0, time.perf_counter()
            ims.create_vm(f"{PREFIX}-share-{number}", template=EMPTY, memory=_MEMORY)
            if number:
                taken["create"].append(time.perf_counter() - begun)
                taken["store"].append(spent[0])
    return taken


if __name__ == "__main__":
    print(json.dumps(_share(int(sys.argv[1]))))  # noqa: T201 - read by whoever runs it
