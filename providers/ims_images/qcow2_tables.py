"""The tables of a qcow2 image: every cluster they name must lie in the file.

See the sections "Host cluster management", "Cluster mapping" and "Extended L2 Entries" of QEMU's
docs/interop/qcow2.txt. One table is held at a time, and each is read once, however many entries
point at it, so the work is bounded by what the file really holds.

QEMU leaves three kinds of clusters partly unwritten at the end of a file, and those are good:
the last cluster of the disk, which may stop where the disk does; a cluster of subclusters, which
may stop after the last one in use; and compressed data, which need not fill its last sector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_images import compressed
from ims_images._file import to_words

if TYPE_CHECKING:
    from ims_images._file import ImageFile
    from ims_images.qcow2 import Header

__all__ = ["Tables", "check_refcounts"]

_OFFSET = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
_RESERVED = 0x3F00_0000_0000_0000
_L1_RESERVED = 0x7F00_0000_0000_01FF
_READS_AS_ZEROS = 1
_REFCOUNT_OFFSET = ~0x1FF
_SECTOR = 512
_SUBCLUSTERS = 32
_LOW_HALF = 0xFFFF_FFFF
_MAX_SHORT_TAILS = 64
"""Most compressed clusters that can share one sector and be sound; more are not tried."""


def check_refcounts(image: ImageFile, header: Header) -> None:
    """Every refcount block lies in the file; their counts are left to ``qemu-img check``."""
    count = header.refcount_clusters * header.cluster_size // 8
    limit = image.size - header.cluster_size
    for words in image.words(header.refcount_offset, count, "its refcount table"):
        if not any(words):
            continue
        for entry in words:
            if entry % header.cluster_size:
                raise image.corrupt("a refcount block does not start at a cluster")
            if entry and entry & _REFCOUNT_OFFSET > limit:
                raise image.truncated("a refcount block")


class Tables:
    """Walks L1 and L2 tables, of the disk and of its snapshots.

    Args:
        image: The file.
        header: Its header, already checked.
    """

    def __init__(self, image: ImageFile, header: Header) -> None:
        """Nothing is read yet."""
        self._image = image
        self._header = header
        self._cluster = header.cluster_size
        self._zeros = bytes(header.cluster_size)
        # One bit for each cluster of the file; the kernel provides only the pages we touch.
        self._visited = bytearray((image.size >> header.cluster_bits >> 3) + 1)
        self._flags = _RESERVED | (self._cluster - 1)
        self._zero_flag = _READS_AS_ZEROS if header.version > 2 else 0  # noqa: PLR2004
        if header.extended_l2:
            self._zero_flag = 0
        self._short_tails: set[int] = set()
        shift = 62 - (header.cluster_bits - 8)
        self._data_shift, self._data_mask = shift, (1 << shift) - 1

    def walk(self, offset: int, entries: int, disk_size: int) -> None:
        """Check an L1 table and what hangs from it.

        Args:
            offset: Of the L1 table.
            entries: Its length.
            disk_size: Of the disk it describes; entries beyond hold the memory of a snapshot.

        Raises:
            ImageError: ``image-truncated`` or ``image-corrupt``.
        """
        first = 0
        for words in self._image.words(offset, entries, "an L1 table"):
            if any(words):
                for number, entry in enumerate(words, first):
                    if entry:
                        self._check_l1_entry(entry, number, disk_size)
            first += len(words)

    def _check_l1_entry(self, entry: int, number: int, disk_size: int) -> None:
        offset = entry & _OFFSET
        if entry & _L1_RESERVED or offset % self._cluster:
            raise self._image.corrupt(f"entry {number} of an L1 table is not an offset")
        if not offset:
            return
        index = offset >> self._header.cluster_bits
        self._image.check_range(offset, self._cluster, "an L2 table")
        if self._visited[index >> 3] & 1 << (index & 7):
            return
        self._visited[index >> 3] |= 1 << (index & 7)
        table = self._image.read(offset, self._cluster, "an L2 table")
        if table == self._zeros:
            return
        # Where the disk ends, counted in bytes from the first cluster of this table.
        left = disk_size - number * self._header.l2_entries * self._cluster
        if self._header.extended_l2:
            self._check_extended(table, left)
        else:
            self._check_standard(table, left)

    def _check_standard(self, table: bytes, left: int) -> None:
        # Nearly all entries are whole plain clusters, so those are passed over in one sweep.
        words = to_words(table)
        unusual = _COMPRESSED | self._flags
        limit = self._image.size - self._cluster
        for number, entry in enumerate(words):
            if entry & unusual or entry & _OFFSET > limit:
                self._check_entry(entry, left - number * self._cluster)

    def _check_extended(self, table: bytes, left: int) -> None:
        words = to_words(table)
        subcluster = self._cluster // _SUBCLUSTERS
        for number, (entry, bitmap) in enumerate(zip(words[::2], words[1::2], strict=True)):
            if not entry | bitmap:
                continue
            if entry & _COMPRESSED:
                self._check_compressed(entry)
                continue
            allocated, zeros = bitmap & _LOW_HALF, bitmap >> 32
            if allocated & zeros:
                raise self._image.corrupt("a subcluster is both allocated and zero")
            if allocated and not entry & _OFFSET:
                raise self._image.corrupt("a subcluster is allocated, but its cluster is not")
            used = allocated.bit_length() * subcluster
            self._check_entry(entry, left - number * self._cluster, used)

    def _check_entry(self, entry: int, left: int, used: int | None = None) -> None:
        """Check one descriptor.

        Args:
            entry: The first 64 bits of the L2 entry.
            left: Bytes from the start of this guest cluster to the end of the disk.
            used: Bytes of the cluster that are in use, where subclusters tell.
        """
        if entry & _COMPRESSED:
            self._check_compressed(entry)
            return
        offset = entry & _OFFSET
        if entry & self._flags & ~self._zero_flag:
            raise self._image.corrupt("an L2 entry has reserved bits, or is not aligned")
        if not offset:
            return
        needed = self._cluster if used is None else used
        if 0 < left < needed:
            needed = -(-left // _SECTOR) * _SECTOR
        if entry & self._zero_flag:
            needed = 0
        # Space that is only reserved is not read, but it starts in the file all the same.
        self._image.check_range(offset, max(needed, 1), "a cluster of data")

    def _check_compressed(self, entry: int) -> None:
        offset = entry & self._data_mask
        sectors = ((entry & (_COMPRESSED - 1)) >> self._data_shift) + 1
        end = (offset // _SECTOR + sectors) * _SECTOR
        if end <= self._image.size:
            return
        if offset in self._short_tails:
            return
        self._short_tails.add(offset)
        if len(self._short_tails) > _MAX_SHORT_TAILS:
            raise self._image.truncated("a compressed cluster")
        length = max(self._image.size - offset, 1)
        data = self._image.read(offset, length, "a compressed cluster")
        if not compressed.is_whole(data, self._header.compression, self._cluster):
            raise self._image.truncated("a compressed cluster")
