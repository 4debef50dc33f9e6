"""Reading the guest's answer. The guest is hostile: whatever it sends, this returns or refuses.

The answer is text; everything around it, and unknown lines within it, is ignored::

    IMS-RECEIPT 1
    digest sha256:<64 hex digits>
    nonce <1 to 64 of 0-9 A-Z a-z ->
    item <name> ok
    item <name> failed <message>
    address <mac> <address>/<prefix>
    end
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import TYPE_CHECKING

from ims_core.models import Address, ItemResult, Receipt

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_ITEMS", "RECEIPT_BYTES", "parse_receipt", "receipt_of_values"]

MAX_ITEMS = 500
"""Items that a context may have in all: users, files, scripts and interfaces together."""

RECEIPT_BYTES = 256 * 1024
"""How much is read of what a guest sent: twice a receipt in which so many items failed."""

_MAX_LINES = 2 * MAX_ITEMS  # of items (a few are in every receipt), and of addresses
_MAX_MESSAGE = 500

_HEADER = "IMS-RECEIPT 1"
_END = "end"
_DIGEST = re.compile(r"digest (sha256:[0-9a-f]{64})")
_NONCE = re.compile(r"nonce ([0-9A-Za-z-]{1,64})")
_ITEM = re.compile(r"item ([0-9A-Za-z._-]{1,64}) (?:(ok)|failed(?: (.*))?)")
_ADDRESS = re.compile(r"address ([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}) ([0-9A-Fa-f.:]+/[0-9]{1,3})")


def parse_receipt(data: bytes) -> Receipt | None:
    """The last complete and well-formed block of what the guest sent.

    Args:
        data: Everything received so far; only its last :data:`RECEIPT_BYTES` are looked at.

    Returns:
        The receipt, or None when there is no such block. Its messages hold printable characters
        only, and its addresses are real ones; nothing else in it may be trusted.
    """
    receipt = None
    block: list[str] | None = None
    for raw in data[-RECEIPT_BYTES:].split(b"\n"):
        line = raw.decode(errors="replace").removesuffix("\r")
        if line == _HEADER:
            block = []
        elif line == _END and block is not None:
            receipt = _parse_block(block) or receipt
            block = None
        elif block is not None:
            block.append(line)
    return receipt


def receipt_of_values(values: Mapping[str, str]) -> Receipt | None:
    """The receipt that a guest gave as keys and values: ``format``, ``chunks`` and ``chunk/NNNN``.

    Args:
        values: By key, below whatever prefix the provider chose; they are as hostile as the guest.
    """
    count = values.get("chunks", "")
    if values.get("format") != "1" or not (count.isascii() and count.isdecimal()):
        return None
    names = [f"chunk/{number:04}" for number in range(min(int(count[:5]), len(values)))]
    try:
        return parse_receipt(b64decode("".join(values.get(each, "") for each in names)))
    except (binascii.Error, ValueError):
        return None


def _parse_block(lines: list[str]) -> Receipt | None:
    digests: list[str] = []
    nonces: list[str] = []
    items: list[ItemResult] = []
    addresses: list[Address] = []
    for line in lines:
        word = line.partition(" ")[0]
        if word == "digest" and (match := _DIGEST.fullmatch(line)):
            digests.append(match[1])
        elif word == "nonce" and (match := _NONCE.fullmatch(line)):
            nonces.append(match[1])
        elif word == "item" and (match := _ITEM.fullmatch(line)):
            items.append(ItemResult(match[1], ok=bool(match[2]), message=_printable(match[3])))
        elif word == "address" and (match := _ADDRESS.fullmatch(line)) and _is_address(match[2]):
            addresses.append(Address(match[2], mac=match[1].lower(), source="receipt"))
        elif word in ("digest", "nonce", "item", "address"):
            return None
    if len(digests) != 1 or len(nonces) != 1:
        return None
    if len(items) > _MAX_LINES or len(addresses) > _MAX_LINES:
        return None
    return Receipt(digests[0], nonces[0], tuple(items), tuple(addresses))


def _printable(message: str | None) -> str:
    """Without what could move a terminal's cursor or turn its text around."""
    kept = "".join(filter(str.isprintable, (message or "")[: 2 * _MAX_MESSAGE]))
    return kept[:_MAX_MESSAGE].strip()


def _is_address(text: str) -> bool:
    import ipaddress  # noqa: PLC0415  (slow to import, and most commands read no receipt)

    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return True
