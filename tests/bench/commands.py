"""What is measured of the command line: starting, listing, creating."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench import BenchError, tools
from tests.bench.by_hand import ByHand
from tests.bench.ground import MEMORY, remove_vms
from tests.bench.timing import Budget, Row, rounds
from tests.labs.commands import progress
from tests.labs.kvm.resources import virsh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.ground import Ground
    from tests.bench.tools import Tool

__all__ = ["creating", "listing", "starting"]

_START = Budget(60 / 9, reason=" (60 ms where bare Python takes 9)")
_LIST = Budget(0.75)
_CREATE = Budget(0.8)
_CREATE_BY_HAND = Budget(1.8)
_COUNTS = (3, 200)
_DISK_GIB = 1


def starting(ground: Ground, pairs: int) -> Iterator[Row]:
    """How long each takes to say its version and its help, beside Python that does nothing."""
    python = tools.python(ground.directory)
    for ours, theirs in (("--version", "version"), ("--help", "-h")):
        progress(f"bench: ims {ours}")
        sides = (
            lambda words=ours: ground.ims(words).seconds,
            lambda: python("-c", "pass").seconds,
            lambda words=theirs: ground.kcli(words).seconds,
        )
        mine, bare, other = rounds(sides, pairs)
        yield Row(f"ims {ours}", "python -c pass", mine, bare, _START)
        yield Row(f"ims {ours}", f"kcli {theirs}", mine, other)


def listing(ground: Ground, pairs: int) -> Iterator[Row]:
    """The same VMs, defined and not started, listed by both."""
    made: list[str] = []
    try:
        for count in _COUNTS:
            progress(f"bench: list-vms with {count} VMs")
            made += ground.define(count - len(made))
            sides = (
                _lister(ground.ims, ("list-vms", "--provider", "kvm"), made),
                _lister(ground.kcli, ("list", "vm"), made),
            )
            mine, other = rounds(sides, pairs)
            what = f"ims list-vms --provider kvm, {count} VMs"
            yield Row(what, "kcli list vm", mine, other, _LIST)
    finally:
        remove_vms()


def _lister(tool: Tool, words: tuple[str, ...], names: list[str]) -> Callable[[], float]:
    def listed() -> float:
        timed = tool(*words)
        missing = [name for name in names if name not in timed.output]
        if missing:
            raise BenchError(f"{' '.join(words)} did not list {', '.join(missing)}")
        return timed.seconds

    return listed


def creating(ground: Ground, pairs: int) -> Iterator[Row]:
    """One VM from an order to running: an overlay on the image, a seed, a domain, its start.

    By hand only `virsh define` and `virsh start` count, two processes: the volumes, their
    contents and the XML are there before, and so nothing of what makes them is in the time.
    """
    progress("bench: create-vm")
    by_hand = ByHand(ground)

    def with_ims() -> float:
        name = ground.name()
        key = str(ground.ims.directory / ".ssh" / "id_ed25519.pub")
        sizes = ("--memory", str(MEMORY), "--vcpus", "1", "--disk", f"{_DISK_GIB}G")
        timed = ground.ims("create-vm", name, *sizes, "--ssh-key", key)
        _check_running(name)
        ground.ims("delete-vm", name)
        return timed.seconds

    def with_kcli() -> float:
        name = ground.name()
        sizes = (f"memory={MEMORY >> 20}", "numcpus=1", f"disks=[{_DISK_GIB}]")
        options = [word for size in sizes for word in ("-P", size)]
        timed = ground.kcli("create", "vm", "-i", ground.image, *options, name)
        _check_running(name)
        ground.kcli("delete", "vm", "-y", name)
        return timed.seconds

    def with_virsh() -> float:
        name = ground.name()
        by_hand.prepare(name, MEMORY, _DISK_GIB << 30)
        seconds = by_hand.create(name)
        _check_running(name)
        by_hand.remove(name)
        return seconds

    try:
        mine, other, plain = rounds((with_ims, with_kcli, with_virsh), pairs)
    finally:
        remove_vms()
    yield Row("ims create-vm, to running", "kcli create vm", mine, other, _CREATE)
    yield Row(
        "ims create-vm, to running", "virsh define + virsh start", mine, plain, _CREATE_BY_HAND
    )


def _check_running(name: str) -> None:
    state = virsh("domstate", name).strip()
    if state != "running":
        raise BenchError(f"{name} is {state} after its creation")
