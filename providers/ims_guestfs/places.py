"""Where each file goes in the guest, and whose it becomes: known before any is written."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError
from ims_guestfs.guest import LARGEST_ID, accounts
from ims_guestfs.script import LONGEST_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ims_core.models import File
    from ims_guestfs.guestfish import Guestfish

__all__ = ["Place", "check", "find"]

_TEMPORARY = ".ims-new-"
_LONGEST_NAME = 255
_MOST_MODE = 0o7777
_WHO = r"(?:[a-z_][a-z0-9_-]{0,31}|[0-9]{1,10})"
_OWNER = re.compile(rf"{_WHO}(?::{_WHO})?")
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Place:
    """What is written for one file.

    Attributes:
        file: What was asked for.
        target: Its path without the guest's symbolic links.
        temporary: Beside it, until all files are there. The same for the same request, so that what
            a cut leaves is replaced by the next try.
        user: The owner's number.
        group: The group's.
        missing: Whether its directory must be made.
    """

    file: File
    target: str
    temporary: str
    user: int
    group: int
    missing: bool


def check(files: Sequence[File]) -> None:
    """Refuse what no guest could take.

    Raises:
        InvalidError: Naming the field.
    """
    for index, file in enumerate(files):
        _check_path(index, file.path)
        if not 0 <= file.mode <= _MOST_MODE:
            raise _refused(index, "mode", f"{file.mode:#o} is not a mode", "give one such as 0o644")
        if not _OWNER.fullmatch(file.owner):
            hint = "write user:group, by name or by number"
            raise _refused(index, "owner", f"{file.owner!r} is not an owner", hint)


def _check_path(index: int, path: str) -> None:
    plain = posixpath.normpath(path).replace("//", "/")
    if not path.startswith("/") or path == "/" or path != plain or _NOT_TEXT.search(path):
        problem, hint = f"{path!r} is not a plain path", "write it from / on, without . and .."
        raise _refused(index, "path", problem, hint)
    if max(map(len, path.encode().split(b"/"))) > _LONGEST_NAME:
        hint = f"use at most {_LONGEST_NAME} bytes for each part"
        raise _refused(index, "path", "a part of it is too long", hint)
    _check_length(index, path)
    if posixpath.basename(path).startswith(_TEMPORARY):
        hint = f"choose a name that does not begin with {_TEMPORARY}"
        raise _refused(index, "path", "files on their way into the guest have such names", hint)


def find(fish: Guestfish, files: Sequence[File]) -> tuple[Place, ...]:
    """Where they go in the guest that is mounted; nothing is written.

    Raises:
        InvalidError: Naming the field: an owner that the guest does not have, something else where
            a directory or the file should be, or two files for one place.
        GuestfishError: The guest cannot be read.
    """
    users, groups = accounts(fish, "/etc/passwd"), accounts(fish, "/etc/group")
    directories = _Directories(fish)
    places = []
    for index, file in enumerate(files):
        user, _, group = file.owner.partition(":")
        directory, there = directories.find(index, posixpath.dirname(file.path))
        target = posixpath.join(directory, posixpath.basename(file.path))
        _check_length(index, target)
        if there and directories.is_one(target):
            hint = "give the path of a file"
            raise _refused(index, "path", f"{target!r} is a directory in the guest", hint)
        place = Place(
            file,
            target,
            posixpath.join(directory, f"{_TEMPORARY}{index}"),
            _number(index, "user", user, users),
            _number(index, "group", group or "0", groups),
            missing=not there,
        )
        places.append(place)
    _check_apart([place.target for place in places])
    return tuple(places)


class _Directories:
    """The guest's directories, each looked for once."""

    def __init__(self, fish: Guestfish) -> None:
        self._fish = fish
        self._known = {"/": ("/", True)}

    def find(self, index: int, path: str) -> tuple[str, bool]:
        """The directory's path without symbolic links, and whether it is there."""
        above = [path]
        while above[-1] not in self._known:
            above.append(posixpath.dirname(above[-1]))
        for each in reversed(above[:-1]):
            directory, there = self._known[posixpath.dirname(each)]
            real = posixpath.join(directory, posixpath.basename(each))
            if there and (there := self._fish.is_true("exists", real)):
                real = self._real(index, real)
            self._known[each] = real, there
        return self._known[path]

    def is_one(self, path: str) -> bool:
        """Whether a directory is there, or a symbolic link to one."""
        return self._fish.is_true("is-dir", path, "followsymlinks:true")

    def _real(self, index: int, path: str) -> str:
        if not self.is_one(path):
            hint = "give a path through directories"
            raise _refused(index, "path", f"{path!r} is no directory in the guest", hint)
        real = self._fish.ask("realpath", path)
        _check_length(index, real)
        return real


def _check_length(index: int, path: str) -> None:
    """Refuse what would not fit into a command, also where the guest's links make it so long."""
    size = len(path.encode("utf-8", "surrogateescape"))
    if size > LONGEST_PATH:
        hint = f"use at most {LONGEST_PATH} bytes, symbolic links resolved"
        raise _refused(index, "path", f"it has {size} bytes", hint)


def _number(index: int, kind: str, name: str, known: Mapping[str, int]) -> int:
    if name.isdecimal():
        if (number := int(name)) <= LARGEST_ID:
            return number
        hint = f"libguestfs takes none above {LARGEST_ID}"
        raise _refused(index, "owner", f"{name} is too large for a {kind}", hint)
    if name not in known:
        hint = f"give a {kind} that the template has, or a number"
        raise _refused(index, "owner", f"the guest has no {kind} {name!r}", hint)
    return known[name]


def _check_apart(targets: Sequence[str]) -> None:
    """Refuse two files of which one would replace the other, or stand in its way."""
    first: dict[str, int] = {}
    for index, target in enumerate(targets):
        if (other := first.setdefault(target, index)) != index:
            problem = f"it is the same place in the guest as {_field(other, 'path')}"
            raise _refused(index, "path", problem, "keep one of them")
    for index, target in enumerate(targets):
        above = posixpath.dirname(target)
        while above != "/":
            if above in first:
                problem = f"{_field(index, 'path')} needs a directory there"
                raise _refused(first[above], "path", problem, "keep one of them")
            above = posixpath.dirname(above)


def _refused(index: int, part: str, problem: str, hint: str) -> InvalidError:
    return InvalidError(f"{_field(index, part)}: {problem}", hint=hint)


def _field(index: int, part: str) -> str:
    return f"files[{index}].{part}"
