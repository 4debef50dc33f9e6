"""Writing the package of a new provider: a copy of ``scaffold``, under another name.

``scaffold`` is a package that works, the provider ``acme`` of a hypervisor in memory, so it is
checked as it stands. A copy differs from it only in that name.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, ImsError, InvalidError, NotFoundError
from ims_core.registry import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

__all__ = ["MARKER", "Names", "checked_names", "write_package"]

MARKER = "YOURS:"
"""Stands in a comment wherever an author's code goes."""

_NAME = re.compile(r"(?=.{1,30}\Z)[a-z][a-z0-9]*(-[a-z0-9]+)*")
_OURS = re.compile("AcmeProvider|ims_acme|acme")


@dataclass(frozen=True, slots=True)
class Names:
    """What a provider of this name is called in each place."""

    provider: str

    @property
    def folder(self) -> str:
        """Of the package, and of its distribution."""
        return f"ims-{self.provider}"

    @property
    def module(self) -> str:
        """To import."""
        return self.folder.replace("-", "_")

    @property
    def cls(self) -> str:
        """Of the provider."""
        return f"{''.join(map(str.capitalize, self.provider.split('-')))}Provider"

    def put_into(self, text: str) -> str:
        """The text of a file of ``scaffold``, about this provider."""
        words = {"AcmeProvider": self.cls, "ims_acme": self.module, "acme": self.provider}
        return _OURS.sub(lambda found: words[found[0]], text)


def checked_names(name: str) -> Names:
    """The names for a provider that can be called so.

    Raises:
        InvalidError: ``invalid-name``.
        ConflictError: ``provider-exists`` or ``module-exists``.
    """
    names = Names(name)
    if not _NAME.fullmatch(name):
        raise InvalidError(
            f"name {name!r} is not possible for a provider",
            code="invalid-name",
            hint="use 1 to 30 lowercase letters and digits, beginning with a letter, with single"
            " hyphens between them",
        )
    if keyword.iskeyword(name):
        raise InvalidError(
            f"name {name!r} is a keyword of Python",
            code="invalid-name",
            hint="choose another name, such as that of the hypervisor's maker",
        )
    for point in entry_points(group=PROVIDERS, name=name):
        raise ConflictError(
            f"there is a provider {name!r} already, in {point.dist.name if point.dist else '?'}",
            code="provider-exists",
            hint="choose another name; `ims list-providers` shows those that are taken",
        )
    if find_spec(names.module):
        raise ConflictError(
            f"name {name!r} is not possible: there is a Python package {names.module} already",
            code="module-exists",
            hint="choose another name",
        )
    return names


def write_package(names: Names, directory: Path) -> list[Path]:
    """Write the package into a new folder of this directory, whole or not at all.

    Returns:
        Its files, sorted, relative to the new folder.

    Raises:
        NotFoundError: ``directory-not-found``.
        ConflictError: ``directory-exists``.
        ImsError: ``os-error``.
    """
    target = directory / names.folder
    if not directory.is_dir():
        raise NotFoundError(
            f"--directory {str(directory)!r} is not a directory",
            code="directory-not-found",
            hint="make it first, or name another one",
        )
    if target.exists() or target.is_symlink():
        raise ConflictError(
            f"there is {str(target)!r} already",
            code="directory-exists",
            hint="move it away, or name another --directory",
        )
    try:
        return _written(names, target)
    except OSError as error:
        raise ImsError(
            f"--directory {str(directory)!r} cannot be written into: {error.strerror}",
            code="os-error",
            hint="name another one",
        ) from error


def _written(names: Names, target: Path) -> list[Path]:
    with TemporaryDirectory(dir=target.parent, prefix=f".{names.folder}-") as temporary:
        folder = Path(temporary, names.folder)  # of its own, with the rights of a usual folder
        for path, content in _scaffold(files("ims_cli") / "scaffold"):
            written = folder / names.put_into(str(path))
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(names.put_into(content), encoding="utf-8")
        found = sorted(each.relative_to(folder) for each in folder.rglob("*") if each.is_file())
        folder.rename(target)
    return found


def _scaffold(place: Traversable, path: Path = Path()) -> Iterator[tuple[Path, str]]:
    """Every file with its text; what Python and the linters leave beside them is none of it."""
    for each in place.iterdir():
        if each.is_file():
            yield path / each.name, each.read_text(encoding="utf-8")
        elif each.name != "__pycache__" and not each.name.endswith("_cache"):
            yield from _scaffold(each, path / each.name)
