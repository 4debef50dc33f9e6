from __future__ import annotations

import pytest
from hypothesis import settings

from tests.conftest import unavailable
from tests.dom0.libxlu import Libxlu
from tests.labs import LabError

# A busy machine must not fail a test, and the tests leave nothing behind.
settings.register_profile("dom0", deadline=None, database=None)
settings.load_profile("dom0")


@pytest.fixture(scope="session")
def libxlu() -> Libxlu:
    """The library with which xl reads its files."""
    try:
        return Libxlu()
    except LabError as error:
        unavailable("xl's library", error)
