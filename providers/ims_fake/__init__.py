"""A provider without a hypervisor: its VMs are files in a directory.

For tests, for demonstrations, and for those who write orchestration code. It keeps the whole
contract of :mod:`ims_core.spi`; its settings make it slow, full, or fail at a certain step.
"""

from __future__ import annotations

from ims_fake.provider import FakeProvider

__all__ = ["FakeProvider"]
