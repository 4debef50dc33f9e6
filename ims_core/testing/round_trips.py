"""Batch calls: as few requests for many VMs as for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.testing.needs import left_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_counters_of_many_vms_cost_no_more_requests_than_of_one",
    "test_evidence_of_many_vms_costs_no_more_requests_than_of_one",
    "test_looking_at_many_vms_costs_no_more_requests_than_at_one",
]

MANY = 6


def test_looking_at_many_vms_costs_no_more_requests_than_at_one(
    ims_target: Target, ims_bench: Bench
) -> None:
    """14. inspect takes any number of VMs, the number of requests not depending on it.

    Mend: in `inspect`, ask for all VMs by one request, not for each in a loop, and take marks from
    `known` instead of reading them. If the hypervisor has no such request, leave `requests` out of
    the target.
    """
    provider, orders = ims_target.provider, [ims_bench.created()]

    def look() -> None:
        known = {each.uuid: each.mark for each in orders}
        assert len(provider.inspect([*known], known=known)) == len(orders), "inspect leaves VMs out"
        provider.inspect(known=known)

    look()
    one = _requests(ims_target, look)
    orders += [ims_bench.created() for _ in range(MANY - 1)]
    look()
    many = _requests(ims_target, look)
    assert many <= one, f"inspect: {one} requests for 1 VM, {many} for {MANY}"


def test_counters_of_many_vms_cost_no_more_requests_than_of_one(
    ims_target: Target, ims_bench: Bench
) -> None:
    """14. metrics takes any number of VMs, the number of requests not depending on it.

    Mend: in `metrics`, ask for the counters of all VMs by one request, not for each in a loop. If
    the hypervisor has no such request, leave `requests` out of the target.
    """
    provider, orders = ims_target.provider, [ims_bench.started()]

    def read() -> None:
        assert len(provider.metrics([each.uuid for each in orders])) == len(orders), (
            "metrics leaves running VMs out"
        )

    read()
    one = _requests(ims_target, read)
    orders += [ims_bench.started() for _ in range(MANY - 1)]
    read()
    many = _requests(ims_target, read)
    assert many <= one, f"metrics: {one} requests for 1 VM, {many} for {MANY}"


def test_evidence_of_many_vms_costs_no_more_requests_than_of_one(
    ims_target: Target, ims_bench: Bench
) -> None:
    """14. inspect takes any number of VMs, the number of requests not depending on it.

    Mend: in `inspect` with evidence, ask for the addresses and answers of all VMs by one request,
    not for each in a loop. If the hypervisor has no such request, say `evidence_at_once=False` in
    the target.
    """
    if not ims_target.evidence_at_once:
        left_out("evidence_at_once")
    provider, orders = ims_target.provider, [ims_bench.started()]

    def look() -> None:
        found = provider.inspect([each.uuid for each in orders], evidence=True)
        assert len(found) == len(orders), "inspect leaves VMs out"

    look()
    one = _requests(ims_target, look)
    orders += [ims_bench.started() for _ in range(MANY - 1)]
    look()
    many = _requests(ims_target, look)
    assert many <= one, f"inspect with evidence: {one} requests for 1 VM, {many} for {MANY}"


def _requests(target: Target, call: Callable[[], object]) -> int:
    if target.requests is None:
        left_out("requests")
    before = target.requests()
    call()
    return target.requests() - before
