"""The ``kvm`` provider: libvirt and QEMU, on this machine or a remote one."""

from __future__ import annotations

from ims_kvm.provider import KvmProvider

__all__ = ["KvmProvider"]
