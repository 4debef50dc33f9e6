"""The suite against the mutant that ``IMS_MUTANT`` names; :mod:`tests.mutants.trial` runs it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ims_core.testing.suite import *  # noqa: F403 - the one line that a provider's author writes
from tests.fake.conftest import ims_target, pool
from tests.mutants import MUTANTS

if TYPE_CHECKING:
    from ims_fake import FakeProvider

__all__ = ["ims_target", "pool", "provider_class"]


@pytest.fixture
def provider_class() -> type[FakeProvider]:
    """The provider with its one mistake."""
    name = os.environ["IMS_MUTANT"]
    return next(each.provider for each in MUTANTS if each.name == name)
