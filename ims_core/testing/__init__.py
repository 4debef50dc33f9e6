"""The conformance suite: what every provider must do, as tests that its author can run.

An author writes one fixture, in ``conftest.py``:

.. code-block:: python

    @pytest.fixture
    def ims_target(tmp_path: Path) -> Iterator[Target]:
        with MyProvider.open(...) as provider:
            yield Target(provider=provider, template=provider.list_templates()[0])

and one line, in a test module:

.. code-block:: python

    from ims_core.testing.suite import *

Each test begins with the number and the words of the sentence of :mod:`ims_core.spi` that it
proves. What a target does not offer is skipped, with the name of what is missing.
"""

from __future__ import annotations

import pytest

from ims_core.testing.target import Target

__all__ = ["TOPICS", "Target"]

TOPICS = (
    "facts",
    "features",
    "lifecycle",
    "crash_safety",
    "states",
    "looking",
    "running",
    "context",
    "overlay",
    "addresses",
    "metrics",
    "bad_input",
    "concurrency",
    "round_trips",
    "templates",
    "suspending",
    "pausing",
    "watching",
    "injecting",
    "snapshots",
    "cloning",
    "failures",
)
"""The modules whose tests ``ims_core.testing.suite`` brings together.

What comes first is what the rest stands on, so an author mends from the top.
"""

pytest.register_assert_rewrite(
    "ims_core.testing.bench", *(f"ims_core.testing.{topic}" for topic in TOPICS)
)
