"""The ovm provider: Oracle VM 2.2, by its Manager's web services and SSH to a dom0."""

from __future__ import annotations

from ims_ovm.provider import OvmProvider

__all__ = ["OvmProvider"]
