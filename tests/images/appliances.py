"""OVA files and their parts, as other programs write them or as an attacker would."""

from __future__ import annotations

import hashlib
import io
import tarfile
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

NAMESPACE = "http://schemas.dmtf.org/ovf/envelope/1"
DISK = "web-disk001.vmdk"
FILE = f'<File ovf:id="file1" ovf:href="{DISK}"/>'
MEDIUM = '<Disk ovf:capacity="1" ovf:diskId="vmdisk1" ovf:fileRef="file1"/>'


def ovf(
    *, files: str = FILE, disks: str = MEDIUM, namespace: str = NAMESPACE, before: str = ""
) -> bytes:
    """A descriptor with what matters, in the way of VirtualBox and ovftool."""
    return f"""<?xml version="1.0"?>{before}
<Envelope xmlns="{namespace}" xmlns:ovf="{namespace}" ovf:version="1.0" xml:lang="en-US">
  <References>{files}</References>
  <DiskSection><Info>List of the virtual disks</Info>{disks}</DiskSection>
  <VirtualSystem ovf:id="web"><Info>A virtual machine</Info></VirtualSystem>
</Envelope>
""".encode()


def manifest(
    members: dict[str, bytes], kind: str = "SHA256", line: str = "{} ({}) = {}\n"
) -> bytes:
    """The digests of members."""
    return "".join(
        line.format(kind, name, hashlib.new(kind.lower(), content).hexdigest())
        for name, content in members.items()
    ).encode()


def member(
    name: str, content: bytes = b"", *, kind: Literal[0, 1, 2] = tarfile.USTAR_FORMAT, **fields: Any
) -> bytes:
    """A member as Python packs it, whole blocks of it."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    header = info.tobuf(kind, "utf-8", "surrogateescape")
    return header + content + bytes(-len(content) % 512)


def packed(members: dict[str, bytes], **fields: Any) -> bytes:
    """An archive in the order given."""
    return b"".join(member(*each, **fields) for each in members.items()) + bytes(1024)


def changed(block: bytes, *changes: tuple[int, bytes]) -> bytes:
    """A member with other bytes in its header, and the checksum that these have."""
    data = bytearray(block)
    for offset, value in changes:
        data[offset : offset + len(value)] = value
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def by_tarfile(path: Path, members: dict[str, bytes], kind: Literal[0, 1, 2]) -> None:
    """An archive as Python's tarfile writes it, with nothing of ours in it."""
    with tarfile.open(path, "w", format=kind) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
