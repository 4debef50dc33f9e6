"""Where VMs are placed: what must be, what is preferred, and why there is no place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core import ConflictError, InvalidError, NotFoundError
from ims_core.placement import Candidate, Constraints, Demand, Strategy, allowed
from ims_core.registry import PLACEMENT, placement, plugins

if TYPE_CHECKING:
    from random import Random

GIB = 1 << 30
EMPTY = Candidate("lab", "empty", vms=0, memory=8 * GIB, memory_free=4 * GIB)
BUSY = Candidate("lab", "busy", vms=9, memory=64 * GIB, memory_free=16 * GIB)
FULL = Candidate("lab", "full", vms=3, memory=8 * GIB, memory_free=0)
SMALL = Candidate("lab", "small", vms=1, memory=GIB // 2)
HIDDEN = Candidate("manager", "", vms=2)
ALL = (HIDDEN, SMALL, FULL, BUSY, EMPTY)
OURS = ("free-memory", "pack", "round-robin", "spread")


def order(name: str, demand: Demand, *candidates: Candidate) -> list[str]:
    ranked = placement(name).rank(candidates or ALL, demand)
    return [each.host or each.pool for each in ranked]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("spread", ["empty", "manager", "busy", "small", "full"]),
        ("pack", ["busy", "manager", "empty", "full", "small"]),
        ("round-robin", ["busy", "empty", "manager", "full", "small"]),
        ("free-memory", ["busy", "empty", "manager", "full", "small"]),
    ],
)
def test_each_strategy_has_its_order_and_puts_those_without_the_memory_last(
    name: str, expected: list[str]
) -> None:
    assert order(name, Demand(GIB, 1)) == expected


def test_spread_breaks_ties_by_free_memory_and_then_by_name() -> None:
    hosts = [Candidate("lab", host, 1, memory_free=free) for host, free in zip("abc", (1, 2, 2))]  # noqa: B905
    assert order("spread", Demand(0, 1), *hosts) == ["b", "c", "a"]


def test_round_robin_takes_turns_among_those_with_the_memory() -> None:
    firsts = [order("round-robin", Demand(GIB, 1, turn))[0] for turn in range(5)]
    assert firsts == ["busy", "empty", "manager", "busy", "empty"]
    assert order("round-robin", Demand(GIB, 1, 1))[-2:] == ["full", "small"]
    assert order("round-robin", Demand(1 << 60, 1, 3), FULL, SMALL) == ["full", "small"]


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        pool=st.sampled_from(["a", "b", "c"]),
        host=st.sampled_from(["", "x", "y", "z"]),
        vms=st.integers(0, 3),
        memory=st.none() | st.integers(0, 4),
        memory_free=st.none() | st.integers(0, 4),
    ),
    unique_by=lambda each: (each.pool, each.host),
)


@given(
    st.sampled_from(OURS),
    CANDIDATES,
    st.builds(Demand, st.integers(0, 5), st.just(1), st.integers(0, 9)),
    st.randoms(),
)
def test_a_ranking_drops_nothing_and_depends_on_no_order(
    name: str, candidates: list[Candidate], demand: Demand, random: Random
) -> None:
    strategy = placement(name)
    ranked = list(strategy.rank(candidates, demand))
    assert len(ranked) == len(candidates)
    assert set(ranked) == set(candidates)
    lacking = [each.lacks_memory(demand) for each in ranked]
    assert lacking == sorted(lacking)
    shuffled = list(candidates)
    random.shuffle(shuffled)
    assert list(strategy.rank(shuffled, demand)) == ranked


def test_our_strategies_are_plugins() -> None:
    found = plugins(PLACEMENT)
    assert tuple(plugin.name for plugin in found) == OURS
    assert all(isinstance(plugin.loaded, Strategy) for plugin in found)


def test_an_unknown_strategy_is_told_with_the_known_ones() -> None:
    with pytest.raises(NotFoundError) as caught:
        placement("nosuch")
    assert caught.value.code == "placement-not-found"
    assert ", ".join(OURS) in caught.value.hint


@pytest.mark.parametrize(
    ("constraints", "left"),
    [
        (Constraints(), ALL),
        (Constraints(pools=("manager",)), (HIDDEN,)),
        (Constraints(hosts=("busy", "full", "nosuch")), (FULL, BUSY)),
        (Constraints(not_with=("db1", "nowhere")), (SMALL, FULL, BUSY)),
        (Constraints(features=("console",)), (SMALL, FULL, BUSY, EMPTY)),
        (Constraints(pools=("lab",), hosts=("empty", "busy"), not_with=("db1",)), (BUSY,)),
    ],
)
def test_what_the_constraints_leave(constraints: Constraints, left: tuple[Candidate, ...]) -> None:
    where = {"db1": {("lab", "empty"), ("manager", "")}}
    features = {"lab": {"console", "templates"}}
    assert allowed(ALL, constraints, where, features) == list(left)


def test_when_nothing_is_left_each_candidate_has_its_reasons() -> None:
    constraints = Constraints(
        pools=("lab",), hosts=("empty",), not_with=("db1",), features=("console",)
    )
    with pytest.raises(ConflictError) as caught:
        allowed((HIDDEN, EMPTY), constraints, {"db1": {("lab", "empty")}}, {"lab": ["console"]})
    assert caught.value.code == "no-placement"
    first, second = caught.value.details
    assert first.startswith("pool manager: the pool is not lab; the host is not empty; its provid")
    assert second == "pool lab, host empty: VM 'db1' is there"
    with pytest.raises(ConflictError) as caught:
        allowed((), Constraints(), {}, {})
    assert "ims create-pool" in caught.value.hint


def test_a_feature_that_nobody_can_have_is_a_mistake_and_no_conflict() -> None:
    with pytest.raises(InvalidError, match="'flying'") as caught:
        allowed(ALL, Constraints(features=("flying",)), {}, {})
    assert "console" in caught.value.hint
