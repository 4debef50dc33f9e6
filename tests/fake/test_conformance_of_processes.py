"""The same contract where guests are processes that run the real guest program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ims_core.testing.suite import *  # noqa: F403
from tests.fake.pools import left_below, target_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ims_core.testing import Target


@pytest.fixture
def ims_target(pool: Path) -> Iterator[Target]:
    """A pool of processes; no process may be left when its test ends."""
    with target_of(pool, guests="processes", guest_seconds=120) as target:
        yield target
    assert not left_below(pool)
