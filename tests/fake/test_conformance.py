from __future__ import annotations

from ims_core.testing.suite import *  # noqa: F403 - the one line that a provider's author writes
