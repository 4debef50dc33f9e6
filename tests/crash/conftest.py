"""What the matrices share: a way to say how many points there were, also when all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import SAID

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Note a line that is printed at the end, whether the test passes or not."""
    return lambda line: record_property(SAID, line)
