"""The matrix itself: it misses no point, and the judge is not blind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.crash.fake_ground import FakeGround
from tests.crash.ground import VICTIM
from tests.crash.judge import differences
from tests.crash.matrix import KILLS, SCENARIOS, Matrix
from tests.crash.points import Point


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> FakeGround:
    return FakeGround.make(tmp_path_factory.mktemp("ground"))


@pytest.fixture
def create(ground: FakeGround) -> Matrix:
    return Matrix(ground, SCENARIOS["create-running"])


def test_a_run_has_the_same_points_again(create: Matrix) -> None:
    points = create.record()
    assert points == create.record()
    assert {point.kind for point in points} == {"file", "store"}
    assert [point.number for point in points] == list(range(1, len(points) + 1))


def test_a_point_that_is_not_reached_is_reported(create: Matrix) -> None:
    points = create.record()
    beyond = Point(len(points) + 1, "file", "open nothing")
    assert "not reached; there was the end" in create.cut(KILLS[0], beyond)[0]
    other = replace(points[0], name="something else")
    assert "not reached" in create.cut(KILLS[0], other)[0]


def test_what_a_killed_run_leaves_is_seen(create: Matrix) -> None:
    """Before anything recovers."""
    ground, points = create.ground, create.record()
    (image,) = (each for each in points if each.name.startswith("open pool/volumes/"))
    before = create._restored()
    assert differences(before, ground.look()) == [], "all was put back"
    plan = replace(create._plan(), mode="kill", number=image.number, side="after")
    create.ground.victim(plan, *create._command())
    left = differences(before, ground.look())
    assert any(f"left behind: volumes/{VICTIM}-" in each for each in left), left
    assert any("left behind: row vms" in each and VICTIM in each for each in left), left


def test_what_was_there_before_is_watched(create: Matrix) -> None:
    ground, before = create.ground, create._restored()
    assert isinstance(ground, FakeGround)
    foreign = ground.root / "pool" / "volumes" / f"{VICTIM}-keep.img"
    foreign.write_bytes(b"other bytes")
    (changed,) = differences(before, ground.look())
    assert f"changed: volumes/{foreign.name}" in changed
    foreign.unlink()
    assert differences(before, ground.look()) == [f"gone: volumes/{foreign.name}"]
