"""Templates: an image and its manifest, side by side in the folder ``templates``.

A template exists from the moment its manifest does, which is written last.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, NotFoundError
from ims_core.models import Template

if TYPE_CHECKING:
    from pathlib import Path

    from ims_core.spi import Progress, UndoLog
    from ims_fake.directory import Directory
    from ims_fake.pace import Pace

__all__ = ["Templates", "template_missing"]

_CHUNK = 1 << 20


def template_missing(name: str) -> NotFoundError:
    """There is no template of that name."""
    return NotFoundError(
        f"there is no template {name!r}",
        code="template-not-found",
        hint=f"`ims import-template IMAGE --name {name}` brings one in",
    )


class Templates:
    """The templates of one pool."""

    def __init__(self, directory: Directory, pace: Pace, capacity: int) -> None:
        """Keep the parts."""
        self._directory = directory
        self._pace = pace
        self._capacity = capacity

    def all(self) -> list[Template]:
        """Every template."""
        return [template for template, _ in self._manifests()]

    def find(self, name: str) -> Template | None:
        """The one of that name."""
        return next((template for template in self.all() if template.name == name), None)

    def has(self, name: str) -> bool:
        """Whether there is one of that name."""
        return self.find(name) is not None

    def add(self, image: Path, template: Template, undo: UndoLog, progress: Progress) -> None:
        """Copy the image, then publish it by its manifest."""
        stem = f"{template.name}-{undo.operation}"
        self._refuse_taken(template)
        undo.announce("image", f"{stem}.img")
        self._copy(image, self._directory.path("image", f"{stem}.img"), progress)
        undo.announce("manifest", f"{stem}.json")
        self._pace.step("import.manifest")
        with self._directory.locked():
            self._refuse_taken(template)
            self._directory.write(
                self._directory.path("manifest", f"{stem}.json"),
                json.dumps(asdict(template), indent=1).encode(),
            )

    def delete(self, name: str) -> None:
        """Remove one that no VM was made from; the manifest last, so that it can be done again."""
        self._pace.step("delete-template")
        with self._directory.locked():
            for template, manifest in self._manifests():
                if template.name == name:
                    self._refuse_used(name)
                    self._directory.remove(manifest.with_suffix(".img"))
                    self._directory.remove(manifest)
                    return
        raise template_missing(name)

    def _manifests(self) -> list[tuple[Template, Path]]:
        files = self._directory.files("templates", ".json")
        return [(Template.from_dict(json.loads(path.read_bytes())), path) for path in files]

    def _copy(self, image: Path, target: Path, progress: Progress) -> None:
        size = image.stat().st_size
        self._directory.make(target, size, self._capacity)
        self._pace.step("import.image")
        with image.open("rb") as source, target.open("r+b") as copy:
            done = 0
            while chunk := source.read(_CHUNK):
                copy.write(chunk)
                done += len(chunk)
                progress(done, size)

    def _refuse_taken(self, template: Template) -> None:
        if self.has(template.name):
            raise ConflictError(
                f"there is a template {template.name!r} already",
                code="template-exists",
                hint=f"`ims delete-template {template.name}` first, or choose another name",
            )

    def _refuse_used(self, name: str) -> None:
        users = [each.name for each in self._directory.domains() if each.template == name]
        if users:
            raise ConflictError(
                f"template {name!r} is in use by {', '.join(sorted(users))}",
                code="template-in-use",
                hint=f"`ims delete-vm {users[0]}` first",
            )
