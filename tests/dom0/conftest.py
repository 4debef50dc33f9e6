"""The judge of what is written for xl."""

from __future__ import annotations

import pytest

from tests.conftest import unavailable
from tests.dom0.libxlu import Libxlu
from tests.labs import LabError


@pytest.fixture(scope="session")
def libxlu() -> Libxlu:
    """The library with which xl reads its files."""
    try:
        return Libxlu()
    except LabError as error:
        unavailable("xl's library", error)
