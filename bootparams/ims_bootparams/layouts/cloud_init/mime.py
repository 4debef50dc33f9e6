"""MIME multipart, the form in which cloud-init takes several kinds of user-data at once."""

from __future__ import annotations

import hashlib
from base64 import encodebytes
from dataclasses import dataclass

__all__ = ["Part", "multipart"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its type as cloud-init knows it, its bytes, and how a cloud-config is merged."""

    type: str
    content: bytes
    merge: str = ""


def multipart(*parts: Part) -> bytes:
    """The parts as one message (RFC 2046, section 5.1); equal parts give equal bytes.

    Every part is base64, so its bytes come out as they went in.
    """
    digest = hashlib.sha256(b"".join(part.content for part in parts)).hexdigest()
    boundary = f"ims-{digest[:32]}"  # no base64 has a line that begins with a hyphen
    lines = [f'Content-Type: multipart/mixed; boundary="{boundary}"\nMIME-Version: 1.0\n'.encode()]
    for part in parts:
        merge = f"Merge-Type: {part.merge}\n" if part.merge else ""
        head = (
            f"\n--{boundary}\nContent-Type: {part.type}\n{merge}"
            "MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\n"
        )
        lines += [head.encode(), encodebytes(part.content)]
    lines.append(f"\n--{boundary}--\n".encode())
    return b"".join(lines)
