"""Whether the compressed data of a qcow2 cluster is all there.

QEMU does not fill the last 512-byte sector of compressed data, so the file may end inside it.
Only the data itself then tells a whole image from one that lost its last bytes.
"""

from __future__ import annotations

import zlib

__all__ = ["is_whole"]

_ZLIB = 0
_WINDOW_BITS = -12  # raw deflate with a 4 KiB window, as in QEMU's qcow2 driver

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_ID_BYTES = (0, 1, 2, 4)
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)
_BLOCK_HEADER = 3
_BLOCK_RLE, _BLOCK_RESERVED = 1, 3


def is_whole(data: bytes, method: int, size: int) -> bool:
    """Whether ``data`` holds all of a cluster of ``size`` bytes; work and memory are bounded."""
    return _deflate_is_whole(data, size) if method == _ZLIB else _zstd_is_whole(data)


def _deflate_is_whole(data: bytes, size: int) -> bool:
    try:
        return len(zlib.decompressobj(_WINDOW_BITS).decompress(data, size)) == size
    except zlib.error:
        return False


def _zstd_is_whole(data: bytes) -> bool:
    """Walk the blocks of the frame (RFC 8878, section 3.1.1) without decompressing them."""
    if not data.startswith(_ZSTD_MAGIC) or len(data) <= len(_ZSTD_MAGIC):
        return False
    descriptor = data[4]
    single_segment = bool(descriptor & 0x20)
    content_size = _CONTENT_SIZE_BYTES[descriptor >> 6] or int(single_segment)
    window = int(not single_segment)
    position = 5 + window + _DICTIONARY_ID_BYTES[descriptor & 3] + content_size
    last = False
    while not last:
        header = data[position : position + _BLOCK_HEADER]
        if len(header) < _BLOCK_HEADER:
            return False
        word = int.from_bytes(header, "little")
        last, kind, size = bool(word & 1), word >> 1 & 3, word >> 3
        if kind == _BLOCK_RESERVED:
            return False
        position += _BLOCK_HEADER + (1 if kind == _BLOCK_RLE else size)
    checksum = 4 if descriptor & 4 else 0
    return position + checksum <= len(data)
