"""The xen provider: virtual machines of a Xen dom0, driven by its ``xl``, here or over SSH."""

from __future__ import annotations

from ims_xen.provider import XenProvider

__all__ = ["XenProvider"]
