"""The provider that the documentation shows as a whole passes the suite."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from docs.example_provider import ExampleProvider
from ims_core.models import Template
from ims_core.testing import Target
from ims_core.testing.suite import *  # noqa: F403 - the one line that a provider's author writes

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 1 << 20
LONGEST = 160


@pytest.fixture
def ims_target() -> Iterator[Target]:
    settings = {"region": str(uuid4())}
    template = Template("example", "raw", f"sha256:{'0' * 64}", SIZE, SIZE, layout="nocloud")
    with ExampleProvider.open(settings) as provider:
        yield Target(provider=provider, template=template, settings=settings, lab="a dictionary")
