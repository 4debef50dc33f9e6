"""The virtualbox provider: virtual machines of a VirtualBox host, here or over SSH."""

from __future__ import annotations

from ims_virtualbox.provider import VirtualBoxProvider

__all__ = ["VirtualBoxProvider"]
