"""Templates in a libvirt storage pool: an image volume, and a manifest that publishes it.

libvirt cannot rename a volume, so the image is uploaded under a name that contains the operation
id, and the small manifest, written last, is what makes the template exist. An image without a
manifest is an unfinished import.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, ImageError, NotFoundError
from ims_core.models import Template
from ims_kvm.announce import announced
from ims_kvm.volumes import SHARED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ims_core.spi import Progress, UndoLog
    from ims_kvm.volumes import StoragePool

__all__ = ["Templates"]

PREFIX, SUFFIX = "ims-template-", ".json"
MANIFEST_BYTES = 64 * 1024


class Templates:
    """The templates of one storage pool."""

    def __init__(self, pool: StoragePool) -> None:
        """Nothing is asked yet."""
        self._pool = pool

    def all(self) -> Sequence[Template]:
        """Every template whose import was finished."""
        found = []
        for volume in self._pool.names():
            if volume.startswith(PREFIX) and volume.endswith(SUFFIX):
                manifest = self._read(volume)
                if manifest:
                    found.append(manifest[0])
        return found

    def find(self, name: str) -> Template | None:
        """The one of that name, if its import was finished."""
        found = self._read(f"{PREFIX}{name}{SUFFIX}")
        return found[0] if found else None

    def image_path(self, name: str) -> str:
        """Where the image of a template lies on the hypervisor's host."""
        return self._pool.path_of(self._manifest(name)[1])

    def changed(self) -> Iterator[str]:
        """Names of the templates whose image is not the one that was imported.

        Its size tells, or that it was written after its manifest, which is written last.
        """
        for volume in sorted(self._pool.names(refresh=True)):
            if not (volume.startswith(PREFIX) and volume.endswith(SUFFIX)):
                continue
            found = self._read(volume)
            if found is None:
                continue
            template, image = found
            try:
                size, written = self._pool.facts(image)
            except NotFoundError:
                yield template.name
                continue
            if size != template.size or written > self._pool.facts(volume)[1]:
                yield template.name

    def add(self, image: Path, template: Template, undo: UndoLog, progress: Progress) -> None:
        """Upload an image and publish it."""
        self._pool.ensure(undo)
        volume = f"{PREFIX}{template.name}-{undo.operation}.{template.format}"
        with announced(undo, "volume", volume):
            self._pool.create_raw(volume, template.size, mode=SHARED)
        with image.open("rb") as source:
            sent = self._pool.upload(volume, source, template.size, progress)
        if sent != template.digest:
            raise ImageError(
                f"image {image} changed while it was imported",
                code="image-changed",
                hint="import it again when nothing writes to it",
            )
        manifest = json.dumps(asdict(template) | {"image": volume})
        name = f"{PREFIX}{template.name}{SUFFIX}"
        with announced(undo, "manifest", f"{name}/{undo.operation}"):
            self._reserve(name, len(manifest), template.name)
        self._pool.write(name, manifest.encode())

    def remove(self, name: str) -> None:
        """Remove a template; its manifest goes last, so that this can be done again."""
        _, image = self._manifest(name)
        self._pool.delete(image)
        self._pool.delete(f"{PREFIX}{name}{SUFFIX}")

    def remove_unfinished(self, name: str) -> bool:
        """Remove a manifest that was never written or cannot be read; false if there is none."""
        volume = f"{PREFIX}{name}{SUFFIX}"
        return self._read(volume) is None and self._pool.delete(volume)

    def belongs_to(self, volume: str, operation: str) -> bool:
        """Whether a manifest volume was written by that operation, or never written at all."""
        content = self._pool.read(volume, last=MANIFEST_BYTES)
        try:
            return bool(json.loads(content)["operation"] == operation)
        except (ValueError, KeyError, TypeError):
            return not content.strip(b"\0")

    def _reserve(self, manifest: str, size: int, name: str) -> None:
        """Make the manifest's volume; libvirt lets only one importer of a name do that."""
        try:
            self._pool.create_raw(manifest, size, mode=SHARED)
        except ConflictError as error:
            raise ConflictError(
                f"there is a template {name!r} already",
                code="template-exists",
                hint=f"`ims delete-template {name}` first, or choose another --name",
            ) from error

    def _manifest(self, name: str) -> tuple[Template, str]:
        found = self._read(f"{PREFIX}{name}{SUFFIX}")
        if found:
            return found
        raise NotFoundError(
            f"there is no template {name!r}",
            code="template-not-found",
            hint=f"`ims import-template IMAGE --name {name}` brings one in",
        )

    def _read(self, volume: str) -> tuple[Template, str] | None:
        """A manifest and the name of its image; None when it is unfinished or damaged."""
        try:
            values = json.loads(self._pool.read(volume, last=MANIFEST_BYTES))
            image = str(values.pop("image"))
            return Template.from_dict(values), image
        except (ValueError, KeyError, AttributeError, NotFoundError):
            return None
