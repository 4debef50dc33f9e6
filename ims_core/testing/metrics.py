"""Counters of the VMs that run."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import TYPE_CHECKING

from ims_core.models import Metrics

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_counters_never_run_backwards",
    "test_metrics_are_of_running_vms_only",
    "test_numbers_are_none_or_plausible",
]

CLOCK_SKEW = 60.0
BUSIEST = 16
"""Seconds of CPU time for each second: one virtual CPU, and what the hypervisor does for it."""


def test_metrics_are_of_running_vms_only(ims_target: Target, ims_bench: Bench) -> None:
    """14. metrics takes any number of VMs, by name or UUID; those that are off have none.

    Mend: in `metrics`, leave out the VMs that do not run, and compare the entries of `vms` with
    both names and UUIDs.
    """
    off, running = ims_bench.created(), ims_bench.started()
    asked = [off.uuid, running.name]
    assert [each.uuid for each in ims_target.provider.metrics(asked)] == [running.uuid], (
        "metrics of two VMs did not answer with just the one that runs"
    )
    everyone = {each.uuid for each in ims_target.provider.metrics()}
    assert running.uuid in everyone, "metrics() leaves out a VM that runs"
    assert off.uuid not in everyone, "metrics() answers with a VM that is off"


def test_numbers_are_none_or_plausible(ims_target: Target, ims_bench: Bench) -> None:
    """15. A number the hypervisor cannot give is None.

    Mend: in `metrics`, convert what the hypervisor says: `timestamp` and `cpu_seconds` to seconds,
    memory, disk and network to bytes. Give None for a number that it does not know, not 0 or -1.
    """
    began = time.monotonic()
    order = ims_bench.started()
    counters = ims_target.provider.metrics([order.uuid])
    lived = time.monotonic() - began
    assert len(counters) == 1, f"metrics of one running VM answers with {len(counters)}"
    found = counters[0]
    assert found.name == order.name, "metrics shows another name"
    assert (found.cpu_seconds or 0) <= BUSIEST * (lived + 1), (
        f"not CPU time in seconds: {found.cpu_seconds}"
    )
    assert abs(found.timestamp - time.time()) < CLOCK_SKEW, (
        f"not seconds since 1970: {found.timestamp}"
    )
    assert found.vcpus in (None, order.spec.vcpus), (
        "metrics shows another number of CPUs than was ordered"
    )
    if found.memory_max_bytes is not None:
        memory = order.spec.memory
        assert memory // 2 < found.memory_max_bytes <= memory, "not the VM's memory in bytes"
        assert (found.memory_used_bytes or 0) <= order.spec.memory, (
            "more memory is used than the VM has"
        )
    for field in fields(Metrics):
        value = getattr(found, field.name)
        if value is not None and not isinstance(value, str):
            assert 0 <= value < 1 << 62, f"{field.name} is {value}"


def test_counters_never_run_backwards(ims_target: Target, ims_bench: Bench) -> None:
    """15. Numbers are never guessed: a counter read later is not smaller.

    Mend: in `metrics`, return the hypervisor's totals since the VM's start, not rates or
    differences, and take `timestamp` from the same clock each time. A counter that was a number
    must not become None.
    """
    order = ims_bench.started()
    (first,) = ims_target.provider.metrics([order.uuid])
    (second,) = ims_target.provider.metrics([order.uuid])
    assert second.timestamp >= first.timestamp, "the later timestamp is smaller"
    for name in ("cpu_seconds", "disk_read_bytes", "disk_write_bytes", "net_rx_bytes"):
        before, after = getattr(first, name), getattr(second, name)
        if before is not None:
            assert after >= before, f"{name} was {before}, and later {after}"
