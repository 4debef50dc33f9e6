"""The crash matrix on the fake provider, where everything is a file.

`make test` has every third point of the kills and two of the rest, `make test-full` all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.crash.fake_ground import FakeGround
from tests.crash.matrix import (
    FULL,
    KILLS,
    SCENARIOS,
    SIGNALS,
    Matrix,
    Scenario,
    each_third,
    two_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> FakeGround:
    return FakeGround.make(tmp_path_factory.mktemp("ground"))


@each_scenario
def test_killed_at_some_points(
    ground: FakeGround, scenario: Scenario, say: Callable[[str], None]
) -> None:
    Matrix(ground, scenario).prove(KILLS, choose=each_third, say=say)


@pytest.mark.parametrize("name", ["create-running", "delete"])
def test_killed_again_while_it_recovers_at_some_points(
    ground: FakeGround, name: str, say: Callable[[str], None]
) -> None:
    Matrix(ground, SCENARIOS[name]).prove_killed_again(choose=each_third, say=say)


@each_scenario
def test_interrupted_at_some_points(
    ground: FakeGround, scenario: Scenario, say: Callable[[str], None]
) -> None:
    Matrix(ground, scenario).prove(SIGNALS[::3], choose=two_of, say=say)


@each_scenario
def test_without_space_at_some_points(
    ground: FakeGround, scenario: Scenario, say: Callable[[str], None]
) -> None:
    Matrix(ground, scenario).prove(FULL[1:], choose=two_of, say=say)


@pytest.mark.full
@each_scenario
def test_killed_at_every_point(
    ground: FakeGround, scenario: Scenario, say: Callable[[str], None]
) -> None:
    Matrix(ground, scenario).prove(KILLS, say=say)


@pytest.mark.full
@each_scenario
def test_killed_again_while_it_recovers(
    ground: FakeGround, scenario: Scenario, say: Callable[[str], None]
) -> None:
    Matrix(ground, scenario).prove_killed_again(say=say)


@pytest.mark.full
@each_scenario
def test_interrupted_at_every_point(
    ground: FakeGround, scenario: Scenario, say: Callable[[str], None]
) -> None:
    Matrix(ground, scenario).prove(SIGNALS, say=say)


@pytest.mark.full
@each_scenario
def test_without_space_at_every_point(
    ground: FakeGround, scenario: Scenario, say: Callable[[str], None]
) -> None:
    Matrix(ground, scenario).prove(FULL, say=say)
