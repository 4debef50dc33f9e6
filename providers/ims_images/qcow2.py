"""The qcow2 header, versions 2 and 3, as QEMU's docs/interop/qcow2.txt specifies it.

Where the specification leaves room, the limits are those of QEMU itself, so that an image
accepted here is one that QEMU opens. A name found in the image is reported, never opened.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ims_images import qcow2_extras, qcow2_tables
from ims_images._file import printable, shown

if TYPE_CHECKING:
    from ims_images._file import ImageFile

__all__ = ["Header", "check", "recognize"]

_MAGIC = b"QFI\xfb"
_V2 = struct.Struct(">4xIQIIQIIQQIIQ")
_V3 = struct.Struct(">QQQII")
_V2_LENGTH = 72
_V3_LENGTH = 104
_COMPRESSION_TYPE_AT = 104

_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED_L2 = (1 << bit for bit in range(5))
_KNOWN = _DIRTY | _CORRUPT | _DATA_FILE | _COMPRESSION | _EXTENDED_L2
_AUTOCLEAR_BITMAPS, _AUTOCLEAR_RAW_DATA_FILE = 1, 2

_EXT_END = 0
_EXT_BITMAPS = 0x23852875
_EXT_ENCRYPTION = 0x0537BE77
_EXT_DATA_FILE = 0x44415441

_CLUSTER_BITS = range(9, 22)
_EXTENDED_L2_CLUSTER_BITS = 14
_MAX_L1_BYTES = 32 << 20
_MAX_REFCOUNT_TABLE_BYTES = 8 << 20
_MAX_REFCOUNT_ORDER = 6
_MAX_NAME = 1023
_MAX_CLUSTERS = 1 << 30  # of 64 KiB, that is 64 TiB


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of the header that the checks need, named as in the specification."""

    version: int
    backing_offset: int
    backing_length: int
    cluster_bits: int
    size: int
    crypt_method: int
    l1_entries: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshots: int
    snapshots_offset: int
    incompatible: int = 0
    autoclear: int = 0
    refcount_order: int = 4
    length: int = _V2_LENGTH
    compression: int = 0

    @property
    def cluster_size(self) -> int:
        """Bytes in a cluster."""
        return 1 << self.cluster_bits

    @property
    def extended_l2(self) -> bool:
        """Whether L2 entries are 16 bytes, with a bitmap of subclusters."""
        return bool(self.incompatible & _EXTENDED_L2)

    @property
    def l2_entries(self) -> int:
        """Guest clusters that one L2 table describes."""
        return self.cluster_size // (16 if self.extended_l2 else 8)


def recognize(image: ImageFile) -> bool:
    """Whether the file begins as a qcow2 image; version 1 is another format."""
    head = image.read(0, min(8, image.size), "its start")
    return head.startswith(_MAGIC) and head[4:] != b"\0\0\0\1"


def check(image: ImageFile) -> int:
    """Prove the image whole and self-contained; return the size of its disk.

    Raises:
        ImageError: See :func:`ims_images.inspect_image`.
    """
    header = _read_header(image)
    _refuse_outside_data(image, header)
    _check_features(image, header)
    _check_fields(image, header)
    bitmaps = _read_extensions(image, header)
    qcow2_tables.check_refcounts(image, header)
    tables = qcow2_tables.Tables(image, header)
    tables.walk(header.l1_offset, header.l1_entries, header.size)
    for snapshot in qcow2_extras.snapshots(image, header):
        tables.walk(snapshot.l1_offset, snapshot.l1_entries, snapshot.disk_size)
    if bitmaps and header.autoclear & _AUTOCLEAR_BITMAPS:
        qcow2_extras.check_bitmaps(image, header, bitmaps)
    return header.size


def _read_header(image: ImageFile) -> Header:
    fields = _V2.unpack(image.read(0, _V2_LENGTH, "its header"))
    version = fields[0]
    if version not in {2, 3}:
        raise image.error(
            "image-format-unknown",
            f"is qcow2 version {version}, which IMS does not know; convert it to version 3",
            fix=f"qemu-img convert -O qcow2 -o compat=1.1 {shown(image.path)} NEW.qcow2",
        )
    if version == 2:  # noqa: PLR2004 - the number is the name
        return Header(*fields)
    more = _V3.unpack(image.read(_V2_LENGTH, _V3.size, "its header"))
    incompatible, _compatible, autoclear, refcount_order, length = more
    if length < _V3_LENGTH:
        raise image.corrupt(f"its header claims a length of {length} bytes, less than 104")
    compression = 0
    if length > _COMPRESSION_TYPE_AT:
        compression = image.read(_COMPRESSION_TYPE_AT, 1, "its header")[0]
    return replace(
        Header(*fields),
        incompatible=incompatible,
        autoclear=autoclear,
        refcount_order=refcount_order,
        length=length,
        compression=compression,
    )


def _refuse_outside_data(image: ImageFile, header: Header) -> None:
    """Nothing of the disk may come from another file."""
    if header.backing_offset:
        raise image.error(
            "image-has-backing-file",
            f"needs the backing file {_backing_name(image, header)}, which IMS never opens; "
            "flatten it with qemu-img convert, where it was made",
            fix=f"qemu-img convert -O qcow2 {shown(image.path)} FLAT.qcow2 (this reads the "
            "backing file: only for an image that you trust)",
        )
    if header.incompatible & _DATA_FILE or header.autoclear & _AUTOCLEAR_RAW_DATA_FILE:
        raise _data_file(image)
    if header.crypt_method:
        raise _encrypted(image)


def _backing_name(image: ImageFile, header: Header) -> str:
    length = min(header.backing_length, _MAX_NAME)
    if header.backing_offset + length > image.size:
        return "(its name lies beyond the end of the file)"
    name = image.read(header.backing_offset, length, "its backing file's name")
    text = name.decode("utf-8", "backslashreplace")
    protocol = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text)
    if protocol:  # a URL or a json: description may hold a password
        return f"{protocol[0]}…"
    return repr(printable(text))


def _data_file(image: ImageFile) -> Exception:
    return image.error(
        "image-has-data-file",
        "keeps its data in an external file, which IMS never opens; make one file of it with "
        "qemu-img convert, where it was made",
        fix=f"qemu-img convert -O qcow2 {shown(image.path)} FLAT.qcow2 (this reads the data "
        "file: only for an image that you trust)",
    )


def _encrypted(image: ImageFile) -> Exception:
    return image.error(
        "image-encrypted",
        "is encrypted, and IMS has no key for it; decrypt it with qemu-img convert, where its "
        "key is",
        fix="qemu-img convert --object secret,id=key,file=KEYFILE --image-opts "
        f"driver=qcow2,encrypt.key-secret=key,file.filename={shown(image.path)} "
        "-O qcow2 PLAIN.qcow2",
    )


def _check_features(image: ImageFile, header: Header) -> None:
    unknown = header.incompatible & ~_KNOWN
    if unknown:
        raise image.error(
            "image-format-unknown",
            f"uses qcow2 features that IMS does not know (bits {unknown:#x}); rewrite it plainly",
            fix=f"qemu-img convert -O qcow2 -o compat=1.1 {shown(image.path)} NEW.qcow2",
        )
    repair = f"qemu-img check -r all {shown(image.path)}"
    if header.incompatible & _CORRUPT:
        raise image.error(
            "image-corrupt",
            f"is marked corrupt by QEMU; take a fresh copy, or try {repair}",
            fix=repair,
        )
    if header.incompatible & _DIRTY:
        raise image.error(
            "image-dirty",
            "was not closed cleanly: it is still in use, or its writer was killed; shut that VM "
            f"down, or repair the image: {repair}",
            fix=repair,
        )
    if bool(header.incompatible & _COMPRESSION) != bool(header.compression):
        raise image.corrupt("its compression type contradicts its feature bits")
    if header.compression not in {0, 1}:
        raise image.error(
            "image-format-unknown",
            f"is compressed by method {header.compression}, which IMS does not know; rewrite it",
            fix=f"qemu-img convert -c -O qcow2 {shown(image.path)} NEW.qcow2",
        )


def _check_fields(image: ImageFile, header: Header) -> None:
    """Sizes and places that everything after relies on."""
    image.check_disk_size(header.size)
    bits = header.cluster_bits
    if bits not in _CLUSTER_BITS or (header.extended_l2 and bits < _EXTENDED_L2_CLUSTER_BITS):
        raise image.corrupt(f"its clusters are of 2^{bits} bytes, which QEMU does not allow")
    if image.size >> bits >= _MAX_CLUSTERS:
        raise image.error(
            "image-too-large",
            f"is a file of {image.size} bytes in clusters of {header.cluster_size}, more than "
            "IMS checks; rewrite it with larger clusters",
            fix=f"qemu-img convert -O qcow2 -o cluster_size=2M {shown(image.path)} NEW.qcow2",
        )
    if header.length > header.cluster_size:
        raise image.corrupt("its header is longer than a cluster")
    if header.refcount_order > _MAX_REFCOUNT_ORDER:
        raise image.corrupt(f"its reference counts are of 2^{header.refcount_order} bits")
    if header.l1_entries * 8 > _MAX_L1_BYTES:
        raise image.error(
            "image-too-large",
            f"has an L1 table of {header.l1_entries * 8} bytes, where 32 MiB is the most; rewrite "
            "it with larger clusters",
            fix=f"qemu-img convert -O qcow2 -o cluster_size=2M {shown(image.path)} NEW.qcow2",
        )
    if header.l1_entries * header.l2_entries * header.cluster_size < header.size:
        raise image.corrupt("its L1 table is too small for its disk")
    refcount_bytes = header.refcount_clusters * header.cluster_size
    if not 0 < refcount_bytes <= _MAX_REFCOUNT_TABLE_BYTES:
        raise image.corrupt(f"its refcount table is of {refcount_bytes} bytes")
    for offset, length, what in (
        (header.l1_offset, header.l1_entries * 8, "its L1 table"),
        (header.refcount_offset, refcount_bytes, "its refcount table"),
    ):
        if length and (not offset or offset % header.cluster_size):
            raise image.corrupt(f"{what} does not start at a cluster")
        image.check_range(offset, length, what)


def _read_extensions(image: ImageFile, header: Header) -> bytes:
    """Walk the header extensions; return the data of the bitmaps extension, if there is one."""
    bitmaps = b""
    position, end = header.length, header.cluster_size
    while position < end:
        kind, length = struct.unpack(">II", image.read(position, 8, "a header extension"))
        position += 8
        if kind == _EXT_END:
            break
        if length > end - position:
            raise image.corrupt("a header extension leaves the first cluster")
        if kind == _EXT_DATA_FILE:
            raise _data_file(image)
        if kind == _EXT_ENCRYPTION:
            raise _encrypted(image)
        if kind == _EXT_BITMAPS:
            bitmaps = image.read(position, length, "a header extension")
        position += (length + 7) & ~7
    return bitmaps
