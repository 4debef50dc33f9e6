"""Files, wrapped so that each change of one below the watched directories is a point.

What changes a file behind the wrappers' back is reported by an audit hook: a new way of changing
something is noticed, not passed over.
"""

# ruff: noqa: PTH115, PTH118, PTH119, PTH120 - pathlib would call what is wrapped here

from __future__ import annotations

import builtins
import errno
import io
import os
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.crash.points import Points

__all__ = ["watch_files"]

_ABOUT = {
    "rename": 1,
    "replace": 1,
    "link": 1,
    "symlink": 1,
    "copy_file_range": 1,
    **dict.fromkeys(("unlink", "remove", "rmdir", "mkdir", "mkfifo", "mknod"), 0),
    **dict.fromkeys(("truncate", "ftruncate", "posix_fallocate", "write", "pwrite"), 0),
    **dict.fromkeys(("writev", "pwritev", "sendfile", "chmod", "fchmod", "chown", "utime"), 0),
}
"""The functions of ``os`` that change files, each with the argument that says which."""
_NEEDS_IT = ("unlink", "remove", "rmdir")
_NEEDS_NONE = ("mkdir",)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_AUDITED = {"os.rename": 1, "os.link": 1, "os.symlink": 1}
_AUDITED |= dict.fromkeys(("os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod"), 0)


def no_space() -> OSError:
    """What a full file system says."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Files:
    """The files below some directories."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._roots = {os.path.realpath(path): name for name, path in points.plan.roots.items()}

    def name(self, target: Any, directory: int | None = None) -> str:
        """How a report calls a path or a descriptor; empty when it is none of the watched."""
        path = self._path(target, directory)
        for root, name in self._roots.items():
            if path == root or path.startswith(root + os.sep):
                return name + path[len(root) :]
        return ""

    def change(self, call: str, name: str) -> AbstractContextManager[None]:
        """The point of a call."""
        return self._points.reached("file", f"{call} {name}", no_space)

    def opening(
        self, target: Any, *, writes: bool, truncates: bool
    ) -> AbstractContextManager[None]:
        """The point of an open that makes or empties a file; any other changes nothing."""
        name = self.name(target) if writes else ""
        if name and (truncates or not os.path.lexists(self._path(target, None))):
            return self.change("open", name)
        return self._points.passing()

    def wrapped(self, call: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of ``os``, watched."""

        @wraps(function)
        def run(*arguments: Any, **words: Any) -> Any:
            target = arguments[_ABOUT[call]]
            directory = words.get("dir_fd", words.get("dst_dir_fd"))
            name = self.name(target, directory)
            there = bool(name) and os.path.lexists(self._path(target, directory))
            if not name or (call in _NEEDS_IT and not there) or (call in _NEEDS_NONE and there):
                with self._points.passing():
                    return function(*arguments, **words)
            with self.change(call, name):
                return function(*arguments, **words)

        return run

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """See what went past the wrappers."""
        if self._points.inside:
            return
        if event == "open":
            path, _, flags = arguments
            name = self.name(path) if flags & _WRITING else ""
        elif event in _AUDITED:
            name = self.name(arguments[_AUDITED[event]])
        else:
            return
        if name:
            self._points.missed(f"{event} {name}")

    @staticmethod
    def _path(target: Any, directory: int | None) -> str:
        if isinstance(target, int):
            return os.readlink(f"/proc/self/fd/{target}")
        path = os.fsdecode(target)
        if directory not in (None, -1):
            path = os.path.join(os.readlink(f"/proc/self/fd/{directory}"), path)
        # Not realpath of the whole: a link is changed itself, and not what it names.
        return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def watch_files(points: Points) -> None:
    """Wrap what changes files."""
    files = Files(points)
    for call in _ABOUT:
        setattr(os, call, files.wrapped(call, getattr(os, call)))
    open_descriptor, open_file = os.open, io.open

    class WatchedFile(io.FileIO):
        """A file whose every write is a point, as it is a system call."""

        def write(self, data: Any, /) -> int:
            with files.change("write", files.name(self.fileno())):
                return cast("int", super().write(data))

        def truncate(self, size: int | None = None, /) -> int:
            with files.change("truncate", files.name(self.fileno())):
                return super().truncate(size)

    def watched_open_descriptor(path: Any, flags: int, *rest: Any, **words: Any) -> int:
        writes = bool(flags & os.O_CREAT)
        with files.opening(path, writes=writes, truncates=bool(flags & os.O_TRUNC)):
            return open_descriptor(path, flags, *rest, **words)

    def watched_open(  # noqa: PLR0917 - as open itself
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if not (set(mode) & set("wax+") and files.name(file)):
            return open_file(file, mode, buffering, encoding, errors, newline, closefd, opener)
        plain_mode = mode.replace("b", "").replace("t", "")
        by_path = not isinstance(file, int)
        with files.opening(
            file, writes=by_path and "r" not in mode, truncates=by_path and "w" in mode
        ):
            raw = WatchedFile(file, plain_mode, closefd, opener)
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

    os.open = watched_open_descriptor
    io.open = builtins.open = watched_open
    sys.addaudithook(files.audit)
