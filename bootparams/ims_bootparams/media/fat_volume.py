"""FAT12 and FAT16 file systems that somebody else made, changed in place.

Source: Microsoft, "FAT32 File System Specification" (fatgen103), sections "FAT" and "FAT Directory
Structure".
"""

from __future__ import annotations

import struct
from heapq import heappush
from itertools import count, islice, pairwise
from typing import TYPE_CHECKING

from ims_bootparams.media.fat_boot_sector import read_shape
from ims_bootparams.media.fat_entries import (
    DIRECTORY,
    ENTRY,
    FILE,
    VOLUME_ID,
    alias,
    long_name,
    read_entries,
    short_entry,
    timestamp,
)
from ims_bootparams.media.volume import Claims, Node, Volume, damaged, no_room, refused, take

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ims_bootparams.media.fat_entries import Entry

__all__ = ["FatVolume"]

_MOST_SLOTS = 1 << 16  # entries of a directory
_BAD, _LAST = 0xFFF7, 0xFFF8  # a cluster that must not be used, the least mark of a chain's end
_CLEAN = 0xC000  # in entry 1 on FAT16: unmounted, and no errors


class FatVolume(Volume):
    """An opened FAT file system."""

    def __init__(self, image: bytes) -> None:
        """Read all directories, and account for every cluster.

        Raises:
            UnsupportedError: It is not clean, damaged, or something unknown.
        """
        super().__init__()
        self._image = bytearray(image)
        self._shape = read_shape(image)
        self._mask = (1 << self._shape.bits) - 1
        self._table = self._read_table()
        self.root = Node(place=0, is_directory=True)
        self._free = self._read_tree()
        self._stamp = timestamp()

    def key(self, name: str) -> bytes:
        """The name in lower case."""
        return name.lower().encode()

    # --- reading ---

    def _read_table(self) -> list[int]:
        """The allocation table: each cluster's successor."""
        tables = [self._image[at : at + self._shape.tables.step] for at in self._shape.tables]
        if any(each != tables[0] for each in tables):
            raise damaged("its allocation tables differ")
        entries = []
        for cluster in range(self._shape.clusters + 2):
            at, shift = divmod(cluster * self._shape.bits, 8)
            (word,) = struct.unpack_from("<H", tables[0], at)
            entries.append(word >> shift & self._mask)
        if self._shape.bits == 16 and entries[1] & _CLEAN != _CLEAN:  # noqa: PLR2004 - bits
            raise refused("it was not unmounted, or has errors")
        return entries

    def _read_tree(self) -> list[int]:
        """Read all directories; returns the clusters that are free."""
        claims = Claims(2, len(self._table))
        found = [(self.root, self.root)]
        while found:
            directory, parent = found.pop()
            children = self._read_directory(directory, parent, claims)
            found += [(child, directory) for child in children if child.is_directory]
        free = claims.free()
        if any(self._table[each] not in (0, _BAD & self._mask) for each in free):
            raise damaged("clusters in use belong to no file")
        return [each for each in free if not self._table[each]]

    def _entries(self, directory: Node, parent: Node, claims: Claims) -> Iterator[Entry]:
        """A directory's entries, but for its head: those for itself and its parent."""
        if directory is self.root:
            return read_entries(bytes(self._image[self._shape.root : self._shape.data]))
        clusters = self._claimed(directory.place, claims)
        entries = read_entries(b"".join(self._image[self._place(each)] for each in clusters))
        head = [*islice(entries, 2)]
        expected = [((b".",), directory.place), ((b"..",), parent.place)]
        if [(each.names, each.first) for each in head] != expected:
            raise damaged("a directory is not where its parent says")
        directory.head = tuple(each.record for each in head)
        return entries

    def _read_directory(self, directory: Node, parent: Node, claims: Claims) -> Iterator[Node]:
        """Read one directory, and yield what is in it."""
        for entry in self._entries(directory, parent, claims):
            if entry.attributes & VOLUME_ID:
                if directory is not self.root or directory.head:
                    raise damaged("it has more than one label")
                directory.head = (entry.record,)
                continue
            child = Node(
                place=entry.first,
                keys=entry.names,
                record=entry.record,
                is_directory=bool(entry.attributes & DIRECTORY),
            )
            if not child.is_directory:
                taken = len(self._claimed(entry.first, claims)) if entry.first else 0
                if taken != -(-entry.size // self._shape.cluster):
                    raise damaged(f"a file of {entry.size} bytes has {taken} clusters")
            self._found(directory, child)
            yield child

    def _claimed(self, first: int, claims: Claims) -> list[int]:
        clusters = []
        for cluster in self._chain(first):
            claims.claim(cluster)  # before its successor is looked up, so that it is a cluster
            clusters.append(cluster)
        return clusters

    def _chain(self, cluster: int) -> Iterator[int]:
        while cluster < _LAST & self._mask:
            yield cluster
            cluster = self._table[cluster]

    def _place(self, cluster: int) -> slice:
        at = self._shape.data + (cluster - 2) * self._shape.cluster
        return slice(at, at + self._shape.cluster)

    def content(self, node: Node) -> bytes:
        """As long as its entry says."""
        (size,) = struct.unpack_from("<I", node.record, len(node.record) - 4)
        clusters = self._chain(node.place) if node.place else ()
        return b"".join(self._image[self._place(each)] for each in clusters)[:size]

    # --- changing ---

    def add_file(self, directory: Node, name: str, content: bytes) -> None:
        """It is read-only, as on media of IMS' own."""
        first = self._store(repr(name), content)
        self._add(directory, name, FILE, first, len(content))

    def add_directory(self, parent: Node, name: str) -> Node:
        """Its first cluster is taken at once, because its children name it as their parent."""
        first = self._store(repr(name), bytes(ENTRY))
        node = self._add(parent, name, DIRECTORY, first, 0)
        node.head = tuple(
            short_entry(dots.ljust(11), DIRECTORY, self._stamp, cluster, 0)
            for dots, cluster in ((b".", first), (b"..", parent.place))
        )
        return node

    def _add(self, directory: Node, name: str, attributes: int, first: int, size: int) -> Node:
        numbers = count(len(directory.children))
        short = next(
            each for each in map(alias, numbers) if each.rstrip().lower() not in directory.children
        )
        entry = short_entry(short, attributes, self._stamp, first, size)
        node = Node(
            place=first,
            keys=(short.rstrip().lower(), self.key(name)),
            record=b"".join((*long_name(name, short), entry)),
            is_directory=attributes == DIRECTORY,
        )
        return self._added(directory, node)

    def _store(self, what: str, content: bytes) -> int:
        """Put content into free clusters; returns the first one, or 0 where there is none."""
        size = self._shape.cluster
        if len(content) > len(self._free) * size:
            raise no_room(f"{what} has {len(content)} bytes", f"{len(self._free) * size} bytes")
        clusters = take(self._free, -(-len(content) // size))
        for number, cluster in enumerate(clusters):
            part = content[number * size : (number + 1) * size]
            self._image[self._place(cluster)] = part.ljust(size, b"\0")
        for cluster, successor in pairwise([*clusters, self._mask]):
            self._table[cluster] = successor
        return clusters[0] if clusters else 0

    def _release(self, directory: Node, node: Node) -> None:  # noqa: ARG002 - ext2 needs it
        if node.place:
            self._discard([*self._chain(node.place)])

    def _discard(self, clusters: Iterable[int]) -> None:
        """Free them, and forget what was in them: it may have been secret."""
        for cluster in clusters:
            self._image[self._place(cluster)] = bytes(self._shape.cluster)
            self._table[cluster] = 0
            heappush(self._free, cluster)

    def _write_directory(self, directory: Node) -> None:
        """A directory's first cluster stays, because its parent and its children name it."""
        content = b"".join(directory.records())
        is_root = directory is self.root
        room = self._shape.data - self._shape.root if is_root else _MOST_SLOTS * ENTRY
        if len(content) > room:
            raise no_room(
                f"a directory would have {len(content) // ENTRY} entries", f"{room // ENTRY}"
            )
        if is_root:
            self._image[self._shape.root : self._shape.data] = content.ljust(room, b"\0")
            return
        size = self._shape.cluster
        self._discard([*self._chain(directory.place)][1:])
        self._image[self._place(directory.place)] = content[:size].ljust(size, b"\0")
        self._table[directory.place] = self._store("a directory", content[size:]) or self._mask

    def _finished(self) -> bytes:
        at, *others = self._shape.tables
        for cluster, successor in enumerate(self._table):
            offset, shift = divmod(cluster * self._shape.bits, 8)
            (word,) = struct.unpack_from("<H", self._image, at + offset)
            word = word & ~(self._mask << shift) | successor << shift
            struct.pack_into("<H", self._image, at + offset, word)
        size = self._shape.tables.step
        for other in others:
            self._image[other : other + size] = self._image[at : at + size]
        return bytes(self._image)
