"""The transports of a provider and of the store, wrapped so that each change is a point.

What is not known to only look is taken for a change, and what changes a file behind the wrappers'
back is reported by an audit hook: a new way of changing something is noticed, not passed over.
"""

from __future__ import annotations

import builtins
import errno
import inspect
import io
import os
import re
import sqlite3
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.crash.points import Points

__all__ = ["watch_files", "watch_libvirt", "watch_store"]

# --- files ---

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

    def opening(self, target: Any, *, writes: bool, truncates: bool) -> AbstractContextManager[None]:
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


# --- the store ---

_CHANGING = ("INSERT", "REPLACE", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "PRAGMA")
_ENDING = ("COMMIT", "END", "RELEASE")
_STATEMENT = re.compile(
    r"\s*(\w+)\s+(?:OR\s+\w+\s+)?(?:INTO|FROM|TABLE|UNIQUE INDEX|INDEX)?\s*"
    r"(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(\w*)",
    re.IGNORECASE,
)


def watch_store(points: Points) -> None:
    """Wrap what SQLite commits."""
    connect = sqlite3.connect

    class WatchedConnection(sqlite3.Connection):
        """Knows what the transaction that is open has changed."""

        def __init__(self, *arguments: Any, **words: Any) -> None:
            super().__init__(*arguments, **words)
            self.changed: list[str] = []

        def cursor(self, factory: Any = None) -> Any:
            return super().cursor(factory or WatchedCursor)

        # The shortcuts of a connection make their cursors in C, past cursor().

        def execute(self, *arguments: Any) -> Any:
            return self.cursor().execute(*arguments)

        def executemany(self, *arguments: Any) -> Any:
            return self.cursor().executemany(*arguments)

        def executescript(self, *arguments: Any) -> Any:
            return self.cursor().executescript(*arguments)

        def commit(self) -> None:
            with self.committing("COMMIT"):
                super().commit()

        def __exit__(self, *error: Any) -> Any:
            with self.committing("COMMIT" if error[0] is None else "ROLLBACK"):
                return super().__exit__(*error)

        def committing(self, statement: str) -> AbstractContextManager[None]:
            """The point of a statement, if it commits anything."""
            found = _STATEMENT.match(statement)
            word, about = (found[1].upper(), found[2]) if found else ("", "")
            if word in _ENDING and self.in_transaction:
                name = f"COMMIT ({', '.join(self.changed)})"
                self.changed.clear()
                return points.reached("store", name, self._full)
            if word == "ROLLBACK":
                self.changed.clear()
            if word in _CHANGING and (word != "PRAGMA" or about == "user_version"):
                if word == "PRAGMA" and "=" not in statement:
                    return points.passing()
                if self.isolation_level is None and not self.in_transaction:
                    return points.reached("store", f"{word} {about}", self._full)
                self.changed.append(f"{word} {about}")
            return points.passing()

        def _full(self) -> Exception:
            if self.in_transaction:
                sqlite3.Connection.rollback(self)  # as SQLite does when it cannot commit
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            return error

    class WatchedCursor(sqlite3.Cursor):
        connection: WatchedConnection

        def execute(self, sql: str, *rest: Any) -> Any:
            with self.connection.committing(sql):
                return super().execute(sql, *rest)

        def executemany(self, sql: str, *rest: Any) -> Any:
            with self.connection.committing(sql):
                return super().executemany(sql, *rest)

        def executescript(self, sql: str, /) -> Any:
            with points.reached("store", "script", self.connection._full):
                return super().executescript(sql)

    def watched_connect(*arguments: Any, **words: Any) -> sqlite3.Connection:
        return connect(*arguments, **{"factory": WatchedConnection, **words})

    sqlite3.connect = cast("Any", watched_connect)


# --- libvirt ---

_LOOKING = re.compile(
    r"""(?x) (get|list|lookup|num|is|has|compare|baseline|recv|vcpu|block(Info|Stats|Peek)|memory)
    .* | .*(LookupBy|Event|CloseCallback|GetXMLDesc|Info|Stats|Parameters|LastError).*
    | c_pointer|connect|close|setKeepAlive|newStream|network|domain|parent|name|key|path|info
    | state|metadata|messages|maxMemory|maxVcpus|autostart|hostname|bridgeName|securityLabel.*
    | ID|OSType|UUID|UUIDString|XMLDesc|MACString|DHCPLeases|download|refresh|interfaceAddresses
    | diskErrors|openConsole|schedulerType|usageID|usageType|filterName|portDev|guestVcpus
    | domainXML(From|To)Native|findStoragePoolSources|snapshotCurrent|sparseRecvAll
    | abort  # of a stream: it sends nothing, and a download ends with it as well
    """
)
_SETTING = re.compile(r"set(?!KeepAlive)")
_NAME = re.compile(r"<name>([^<]*)</name>")


def watch_libvirt(points: Points) -> None:
    """Wrap every method of libvirt's objects that may change something."""
    import libvirt  # noqa: PLC0415 - only where the victim uses it

    def full() -> Exception:
        error = libvirt.libvirtError("no space")
        text = "cannot write: No space left on device"
        code, domain, level = libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_STORAGE, 2
        error.err = (code, domain, text, level, text, None, None, errno.ENOSPC, 0)
        return cast("Exception", error)

    def wrapped(call: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(self: Any, *arguments: Any, **words: Any) -> Any:
            with points.reached("libvirt", f"{call} {_about(self, arguments)}".strip(), full):
                return function(self, *arguments, **words)

        return run

    for class_name, cls in inspect.getmembers(libvirt, inspect.isclass):
        for name, function in list(vars(cls).items()):
            looks = _LOOKING.fullmatch(name) and not _SETTING.match(name)
            if class_name.startswith("vir") and inspect.isfunction(function):
                if not (looks or name.startswith("_")):
                    setattr(cls, name, wrapped(f"{class_name}.{name}", function))


def _about(self: Any, arguments: tuple[Any, ...]) -> str:
    """What a call changes: what its XML names, or the object itself."""
    for text in arguments:
        if isinstance(text, str) and (found := _NAME.search(text)):
            return found[1]
    return str(self.name()) if hasattr(self, "name") else ""
