"""MAC addresses that we choose."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ims_core.models import Interface

__all__ = ["chosen", "mac_for"]


def chosen(card: Interface, uuid: str, index: int, scheme: str) -> str:
    """The MAC of a VM's n-th card: what it was given, what the pool's scheme makes of it, or ours.

    Raises:
        InvalidError: ``mac-scheme``: the scheme cannot tell the card's address.
    """
    if card.mac or not scheme:
        return (card.mac or mac_for(uuid, index)).lower()
    from ims_bootparams.macs import MacScheme  # noqa: PLC0415 - few pools have a scheme
    from ims_bootparams.macs import mac_for as told_by  # noqa: PLC0415

    entropy = bytes.fromhex(mac_for(uuid, index).replace(":", ""))[1:]
    return told_by(MacScheme(scheme), card, entropy) or mac_for(uuid, index)


def mac_for(uuid: str, index: int) -> str:
    """The MAC of a VM's n-th card: QEMU's first two octets and 32 bits from the VM's UUID.

    0x52 has the "locally administered" bit and not the "multicast" bit (IEEE 802, section 8).
    The same VM always gets the same addresses, and 32 bits keep two VMs apart.
    """
    tail = hashlib.sha256(f"{uuid}/{index}".encode()).digest()[:4]
    return ":".join(f"{octet:02x}" for octet in b"\x52\x54" + tail)
