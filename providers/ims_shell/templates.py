"""Templates: a folder each, with the image, its manifest, and perhaps a kernel and a ramdisk."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, BinaryIO

from ims_core.errors import ConflictError, InvalidError
from ims_core.models import Template
from ims_shell.archive import pack, unpack
from ims_shell.names import making

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ims_core.spi import Progress, UndoLog
    from ims_shell.host import ScriptHost

__all__ = ["Templates", "templates_in"]

_MANIFEST = "manifest.json"
_ROLES = ("image", "kernel", "ramdisk")


class Templates:
    """The templates of one pool."""

    def __init__(self, host: ScriptHost, image: str = "disk") -> None:
        """Nothing is asked yet.

        Args:
            host: Where they are.
            image: What the file of an image is called there.
        """
        self._host = host
        self._names = {**{role: role for role in _ROLES}, "image": image}

    def all(self) -> list[Template]:
        """Every template; a folder whose manifest is damaged is none."""
        return templates_in(self._host.call("templates", subject="templates"), _MANIFEST)

    def add(
        self, files: Mapping[str, Path], template: Template, undo: UndoLog, progress: Progress
    ) -> None:
        """Upload the files to a folder of their own, and give that its name as the last step.

        Raises:
            ConflictError: ``template-exists``.
            InvalidError: A file changed while it was read.
        """
        folder, subject = making(template.name, undo.operation), f"template {template.name}"
        undo.announce("folder", folder)
        digests = {"image": template.digest, "kernel": template.kernel, "ramdisk": template.ramdisk}
        for role in _ROLES:
            if role in files:
                told = progress if role == "image" else _quiet
                digest = self._upload(folder, role, files[role], told)
                if digest != digests[role]:
                    raise InvalidError(
                        f"{files[role].name} changed while it was read",
                        hint="import it again when it is whole",
                    )
        published = f"{template.name}/{undo.operation}"
        undo.announce("template", published)
        manifest = pack({_MANIFEST: json.dumps(asdict(template), indent=1).encode()})
        try:
            self._host.call("publish", folder, template.name, stdin=manifest, subject=subject)
        except ConflictError:
            undo.retract("template", published)  # that name is somebody else's
            raise

    def remove(self, name: str) -> None:
        """Remove one that no VM was made from."""
        self._host.call("delete_template", name, subject=f"template {name}")

    def _upload(self, folder: str, role: str, path: Path, progress: Progress) -> str:
        """Send a file; returns the digest of what was sent."""
        size = path.stat().st_size
        with path.open("rb") as file:
            source = _Hashing(file)
            self._host.send(
                "import",
                folder,
                self._names[role],
                str(size),
                source=source,  # type: ignore[arg-type]  # all that is asked of it is to be read
                size=size,
                progress=progress,
                subject=f"{role} {path.name}",
            )
        return f"sha256:{source.digest.hexdigest()}"


def templates_in(archive: bytes, place: str) -> list[Template]:
    """The templates of an archive of manifests; one that is damaged, or was copied, is none.

    Args:
        archive: As a script sent it.
        place: A manifest's path in the folder of its template.
    """
    found = []
    for path, content in unpack(archive).items():
        try:
            template = Template.from_dict(json.loads(content))
        except (ValueError, TypeError, AttributeError, RecursionError):
            continue
        if path == f"{template.name}/{place}":
            found.append(template)
    return found


class _Hashing:
    """A file that remembers the digest of what was read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        part = self._file.read(size)
        self.digest.update(part)
        return part


def _quiet(done: int, total: int | None) -> None:
    """Kernels are small."""
