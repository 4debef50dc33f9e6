"""VMs are placed among the pools of a group, and where one is full the next is tried."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ims_core import CapacityError, ConflictError, HypervisorError, Ims, NotFoundError
from ims_core.models import Host
from ims_core.placement import Constraints
from ims_fake import FakeProvider
from tests.fake.pools import contents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core.models import VMSpec

    Fleet = Callable[..., Ims]

SIZE = 64 << 10


@pytest.fixture
def fleet(own_state: Path) -> Fleet:
    """``fleet(a={…}, b={…})``: pools with those settings, in one group, each with a template."""

    def fleet(strategy: str = "spread", **pools: dict[str, Any]) -> Ims:
        lines = []
        for name, settings in pools.items():
            lines += [f"[pools.{name}]", 'provider = "fake"', f'directory = "{own_state / name}"']
            lines += [f"{key} = {value!r}" for key, value in settings.items()]
        lines += ["[groups.all]", f"pools = {list(pools)}", f'strategy = "{strategy}"']
        (own_state / "ims.toml").write_text("\n".join(lines))
        image = own_state / "tiny.raw"
        image.write_bytes(b"\x55" * SIZE)
        digest = hashlib.sha256(image.read_bytes()).hexdigest()
        ims = Ims()
        for name in pools:
            ims.import_template(str(image), "tiny", pool=name, sha256=digest, layout="bootparams")
        return ims

    return fleet


def spread_of(ims: Ims, *pools: str) -> list[int]:
    return [len(ims.list_vms(pool=each)) for each in pools]


def test_spread_gives_each_pool_its_share_also_when_all_are_made_at_once(fleet: Fleet) -> None:
    ims = fleet(a={"delay": 0.01}, b={"delay": 0.01}, c={"delay": 0.01})
    handles = [ims.submit(ims.create_vm, f"web{index}", group="all") for index in range(9)]
    for each in handles:
        each.result(60)
    assert spread_of(ims, "a", "b", "c") == [3, 3, 3]


def test_pack_fills_one_pool(fleet: Fleet) -> None:
    ims = fleet(a={}, b={})
    for index in range(4):
        ims.create_vm(f"web{index}", group="all", placement="pack")
    assert sorted(spread_of(ims, "a", "b")) == [0, 4]


def test_round_robin_takes_turns(fleet: Fleet) -> None:
    ims = fleet("round-robin", a={}, b={})
    pools = [ims.create_vm(f"web{index}", group="all").pool for index in range(4)]
    assert pools in (["a", "b", "a", "b"], ["b", "a", "b", "a"])


def test_where_a_pool_is_full_the_next_is_tried_and_nothing_is_left(
    fleet: Fleet, own_state: Path
) -> None:
    ims = fleet(a={"capacity": 2 * SIZE - 1}, b={})
    before = contents(own_state / "a")
    assert [ims.create_vm(f"web{index}", group="all").pool for index in range(3)] == ["b"] * 3
    assert contents(own_state / "a") == before


def test_when_all_are_full_the_error_tells_of_each(fleet: Fleet) -> None:
    ims = fleet(a={"capacity": 2 * SIZE - 1}, b={"capacity": 2 * SIZE - 1})
    with pytest.raises(CapacityError) as caught:
        ims.create_vm("web01", group="all")
    assert "pool a" in " ".join(caught.value.details)


def test_what_is_permanent_is_not_tried_elsewhere(fleet: Fleet) -> None:
    ims = fleet(a={"fail": ["start"]}, b={"fail": ["start"]})
    with pytest.raises(HypervisorError):
        ims.create_vm("web01", group="all")
    assert len([each for each in ims.list_operations() if each.kind == "create-vm"]) == 1


def test_constraints_leave_what_they_permit(fleet: Fleet) -> None:
    ims = fleet(a={}, b={})
    first = ims.create_vm("web01", group="all")
    apart = Constraints(not_with=("web01",))
    assert ims.create_vm("web02", group="all", constraints=apart).pool != first.pool
    with pytest.raises(ConflictError) as caught:
        ims.create_vm("web03", group="all", constraints=Constraints(not_with=("web01", "web02")))
    assert caught.value.code == "no-placement"
    with pytest.raises(ConflictError):
        ims.create_vm("web03", group="all", constraints=Constraints(features=("console",)))
    with pytest.raises(NotFoundError):
        ims.create_vm("web03", group="all", placement="by-magic")


def test_a_hypervisor_that_chooses_among_its_hosts_is_one_place_and_is_told_no_host(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    ims = fleet(a={})
    told: list[str] = []
    prepare = FakeProvider.prepare

    def noting(self: FakeProvider, spec: VMSpec) -> VMSpec:
        told.append(spec.host)
        return prepare(self, spec)

    hosts = [Host("one", 2, 8 << 30, 1 << 30), Host("two", 2, 8 << 30, 2 << 30)]
    monkeypatch.setattr(FakeProvider, "prepare", noting)
    monkeypatch.setattr(FakeProvider, "hosts", lambda _self: hosts)
    monkeypatch.setattr(FakeProvider, "features", replace(FakeProvider.features, chooses_host=True))
    ims.create_vm("web01", group="all", memory=2 << 30)
    assert told == [""]
