"""All that a provider must do; each test names the sentence of `ims_core.spi` that it proves."""

from ims_core.testing.suite import *  # noqa: F403
