"""Templates: an archive that becomes a folder of the repository, which the Manager then imports."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, HypervisorError, InvalidError, NotFoundError
from ims_core.spi import Discarded
from ims_dom0.dom0 import MAKING_SECONDS
from ims_images import read_bundle
from ims_ovm.bootparams import IMAGE, MAX_IMAGE, rebuilt
from ims_ovm.definition import CONFIG, template_config
from ims_ovm.manager import watch
from ims_shell.archive import pack
from ims_shell.names import making
from ims_shell.templates import templates_in

if TYPE_CHECKING:
    from pathlib import Path

    from ims_core.models import Template
    from ims_core.spi import Progress, UndoLog
    from ims_dom0.dom0 import Dom0
    from ims_images import Bundle
    from ims_ovm.manager import Manager

__all__ = ["FORMAT", "Templates"]

FORMAT = "ovm-template"

_MAX_CONFIG = 1 << 20
_IMPORTED = ("pendingapproval", "active", "approved")
_APPROVED = ("active", "approved")


class Templates:
    """The templates of one repository and its Manager."""

    def __init__(self, manager: Manager, dom0: Dom0, *, remote: bool, rebuilds: bool) -> None:
        """Nothing is asked yet.

        Args:
            manager: Imports them.
            dom0: Where they lie.
            remote: Whether the Manager fetches them by itself.
            rebuilds: Whether a template's Bootparams.img must be one that can be rebuilt here.
        """
        self._manager = manager
        self._dom0 = dom0
        self._remote = remote
        self._rebuilds = rebuilds

    def all(self) -> list[Template]:
        """Every template that IMS imported; a folder whose manifest is damaged is none."""
        archive = self._dom0.call("templates", subject="templates")
        return templates_in(archive, "ims/manifest.json")

    def add(self, archive: Path, template: Template, undo: UndoLog, progress: Progress) -> None:
        """Bring it, have the Manager import and approve it, and write its manifest as last step.

        Raises:
            ImageError: The archive must not be used.
            ConflictError: ``template-exists``.
        """
        bundle = read_bundle(archive, wanted={CONFIG: _MAX_CONFIG, IMAGE: MAX_IMAGE})
        self._check(bundle, template)
        url = _folder_url(template) if self._remote else ""
        folder = f"{self._dom0.directory}/seed_pool/{template.name}"
        config = template_config(_text(bundle.contents[CONFIG]), folder, bundle.members)
        if template.name in self._manager.templates():
            raise ConflictError(
                f"the Manager has a template {template.name!r} already",
                code="template-exists",
                hint="choose another --name, or remove that one in the Manager",
            )
        self._reserve(template.name, undo)
        if self._remote:
            self._fetched(template, bundle, url)
        else:
            self._sent(archive, template, undo, progress)
            self._unpacked(template, bundle, config, undo.operation)
        self._approved(template.name)
        manifest = json.dumps(asdict(template), indent=1).encode()
        self._dom0.call(
            "finish",
            template.name,
            undo.operation,
            stdin=pack({CONFIG: config.encode(), "manifest.json": manifest}),
            subject=_subject(template.name),
        )

    def remove(self, name: str) -> None:
        """Remove one that no VM was made from.

        Raises:
            NotFoundError: ``template-not-found``.
            ConflictError: ``template-in-use``.
        """
        operation = self._operation(name)
        if operation in ("", "-"):
            raise NotFoundError(
                f"there is no template {name!r}",
                code="template-not-found",
                hint="`ims list-templates` shows those that are there",
            )
        user = self._dom0.call("users", name, subject=_subject(name)).decode().strip()
        if user:
            raise ConflictError(
                f"template {name}: by VM {user}",
                code="template-in-use",
                hint="delete the VMs that were made from it first",
            )
        self._removed(name, operation)

    def discard(self, kind: str, name: str, operation: str) -> Discarded:
        """Remove what an import announced."""
        if kind == "folder":
            told = self._dom0.call("discard_making", name, subject=f"folder {name}")
            return Discarded(told.decode().strip())
        template = name.partition("/")[0]
        found = self._operation(template)
        if found == operation:
            self._removed(template, operation)
            return Discarded.REMOVED
        # It came no further than to take the name.
        self._dom0.call("remove_template", template, operation, subject=_subject(template))
        return Discarded.NOT_OURS if found else Discarded.ABSENT

    # --- steps ---

    def _check(self, bundle: Bundle, template: Template) -> None:
        if IMAGE not in bundle.members:
            raise InvalidError(
                f"the archive has no {IMAGE}, so its VMs could not be told anything",
                code="no-bootparams",
                hint="put a small disk of that name into it, with FAT16 or ext2 and the label IMS",
            )
        if template.kernel or template.boot:
            raise InvalidError("an Oracle VM template says itself how it boots")
        if self._rebuilds:
            rebuilt(bundle.contents[IMAGE], {})

    def _reserve(self, name: str, undo: UndoLog) -> None:
        """Nobody else imports one of that name, and whatever comes of it is known as this."""
        published = f"{name}/{undo.operation}"
        undo.announce("template", published)
        try:
            self._dom0.call("reserve", name, undo.operation, subject=_subject(name))
        except ConflictError:
            undo.retract("template", published)
            raise

    def _sent(self, archive: Path, template: Template, undo: UndoLog, progress: Progress) -> None:
        folder = making(template.name, undo.operation)
        undo.announce("folder", folder)
        with archive.open("rb") as source:
            self._dom0.send(
                "import",
                folder,
                "bundle",
                str(template.size),
                source=source,
                size=template.size,
                progress=progress,
                subject=_subject(template.name),
            )

    def _unpacked(self, template: Template, bundle: Bundle, config: str, operation: str) -> None:
        inside = f"{bundle.folder}/" if bundle.folder else ""
        self._dom0.call(
            "extract",
            making(template.name, operation),
            template.name,
            template.digest.removeprefix("sha256:"),
            *(f"{inside}{name}" for name in sorted(bundle.members)),
            stdin=pack({CONFIG: config.encode()}),
            subject=_subject(template.name),
            timeout=MAKING_SECONDS,
        )
        self._ask("import_template", template.name)
        self._watched(template.name, _IMPORTED)

    def _fetched(self, template: Template, bundle: Bundle, url: str) -> None:
        """Have the Manager fetch the unpacked folder, and prove that it is what was checked."""
        name, operation = template.name, template.operation
        self._dom0.call("fetching", name, operation, subject=_subject(name))
        try:
            self._ask("import_remote_template", name, f"{url}/")
        except HypervisorError as error:
            if error.code == "manager-refused":  # so what it has by that name is somebody else's
                self._dom0.call("fetching", name, "-", subject=_subject(name))
            raise
        self._watched(name, _IMPORTED)
        told = self._dom0.call(
            "digests", template.name, subject=_subject(template.name), timeout=MAKING_SECONDS
        )
        lines = told.decode(errors="replace").splitlines()
        found = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        for name, member in bundle.members.items():
            if name != CONFIG and f"sha256:{found.get(name)}" != member.digest:
                raise InvalidError(
                    f"{url}/{name} is not the same as in the archive",
                    hint="unpack the archive beside its URL anew",
                )

    def _approved(self, name: str) -> None:
        if _plain(self._manager.templates().get(name, "")) not in _APPROVED:
            self._ask("approve_template", name)
            self._watched(name, _APPROVED)

    def _watched(self, name: str, wanted: tuple[str, ...]) -> None:
        def settled(status: str) -> bool:
            return _plain(status) in (*wanted, "error")

        status = watch(
            lambda: self._manager.templates().get(name, ""),
            settled,
            MAKING_SECONDS,
            f"template {name}: the Manager is still importing it",
        )
        if _plain(status) == "error":
            raise HypervisorError(
                f"template {name}: the Manager could not import it",
                code="manager-failed",
                hint="its own log tells why",
            )

    def _ask(self, key: str, name: str, *values: str) -> None:
        pool = self._manager.pool_name
        self._manager.client.call(key, pool, name, *values, subject=_subject(name))

    def _operation(self, name: str) -> str:
        """The operation that imported it; ``-`` for somebody else's, nothing for none."""
        return self._dom0.call("imported_by", name, subject=_subject(name)).decode().strip()

    def _removed(self, name: str, operation: str) -> None:
        self._dom0.call("removing", name, operation, subject=_subject(name))
        status = watch(
            lambda: self._manager.templates().get(name),
            lambda now: _plain(now or "") != "importing",
            MAKING_SECONDS,
            f"template {name}: the Manager is still importing it",
        )
        if status is not None:
            self._ask("delete_template", name)
            watch(
                lambda: name in self._manager.templates(),
                lambda there: not there,
                MAKING_SECONDS,
                f"template {name}: the Manager is still deleting it",
            )
        self._dom0.call("remove_template", name, operation, subject=_subject(name))


def _folder_url(template: Template) -> str:
    """Where the unpacked folder lies, beside the archive."""
    url = template.source.removesuffix(".tgz").removesuffix(".tar.gz")
    if not url.startswith(("http://", "https://")):
        raise InvalidError(
            "the Manager fetches templates by itself here (import_by), so it needs a URL",
            hint="give the archive's URL; beside it must be the folder of its name, unpacked",
        )
    return url


def _subject(name: str) -> str:
    return f"template {name}"


def _plain(status: str) -> str:
    return "".join(each for each in status.lower() if each.isalpha())


def _text(config: bytes) -> str:
    try:
        return config.decode()
    except UnicodeDecodeError:
        raise InvalidError(
            f"{CONFIG}: it is no text", hint="look at it; it is UTF-8 or ASCII"
        ) from None
