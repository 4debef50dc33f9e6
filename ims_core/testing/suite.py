"""Every test and fixture of the suite, for one import line: ``from … import *``."""

from __future__ import annotations

from importlib import import_module

from ims_core.testing import TOPICS
from ims_core.testing.bench import ims_bench, ims_nothing_left_behind

__all__ = ["ims_bench", "ims_nothing_left_behind"]

for _topic in TOPICS:
    _module = import_module(f"ims_core.testing.{_topic}")
    for _name in _module.__all__:
        globals()[_name] = getattr(_module, _name)
        __all__ += [_name]  # noqa: PLE0604 - names of tests
