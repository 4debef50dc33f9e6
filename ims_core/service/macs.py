"""MAC addresses that we choose."""

from __future__ import annotations

import hashlib

__all__ = ["mac_for"]


def mac_for(uuid: str, index: int) -> str:
    """The MAC of a VM's n-th card: QEMU's first two octets and 32 bits from the VM's UUID.

    0x52 has the "locally administered" bit and not the "multicast" bit (IEEE 802, section 8).
    The same VM always gets the same addresses, and 32 bits keep two VMs apart.
    """
    tail = hashlib.sha256(f"{uuid}/{index}".encode()).digest()[:4]
    return ":".join(f"{octet:02x}" for octet in b"\x52\x54" + tail)
