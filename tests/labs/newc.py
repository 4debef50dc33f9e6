"""A writer of cpio archives in the "newc" format, which the kernel unpacks as initramfs.

Written here because cpio(1) makes device nodes and root's files only for root.
"""

from __future__ import annotations

import stat

_TRAILER = "TRAILER!!!"


class Archive:
    """A cpio archive in memory; everything in it belongs to root and has no date."""

    def __init__(self) -> None:
        """Start with an empty archive."""
        self._chunks: list[bytes] = []
        self._seen: set[str] = set()

    def directory(self, path: str, mode: int = 0o755) -> None:
        """Add a directory, and before it those above it, unless it is there."""
        if path in self._seen or path in {"", "."}:
            return
        self._parent(path)
        self._add(path, stat.S_IFDIR | mode)

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Add a regular file."""
        self._parent(path)
        self._add(path, stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link, unless there is something of that name."""
        if path in self._seen:
            return
        self._parent(path)
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        """Add a character device node."""
        self._parent(path)
        self._add(path, stat.S_IFCHR | mode, device=(major, minor))

    def finish(self) -> bytes:
        """Close the archive and return its bytes."""
        self._add(_TRAILER, 0)
        return b"".join(self._chunks)

    def _parent(self, path: str) -> None:
        self.directory(path.rpartition("/")[0])

    def _add(
        self, path: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        if path in self._seen:
            raise ValueError(f"twice in the archive: {path}")
        self._seen.add(path)
        name = path.encode() + b"\0"
        inode = len(self._seen)
        links = 2 if stat.S_ISDIR(mode) else 1
        # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        fields = (inode, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self._chunks.append(_padded(header + name) + _padded(content))


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
