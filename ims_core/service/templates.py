"""Importing a template: fetch, check, convert if need be, upload, publish."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ims_core.errors import CapacityError, ConflictError, ImsError, InvalidError, UnsupportedError
from ims_core.models import Template
from ims_core.names import check_name
from ims_core.registry import layout as load_layout
from ims_core.service.converting import Conversion
from ims_core.service.events import Event, Phase
from ims_core.service.operations import Kind, recorded
from ims_core.service.waiting import percent
from ims_core.spi import TemplateStore, require
from ims_core.store import Outcome
from ims_images import (
    best_format,
    check_digest,
    fetch,
    file_digest,
    inspect_image,
    public_url,
)

if TYPE_CHECKING:
    from ims_core.models import Features
    from ims_core.service.events import Listener
    from ims_core.service.operations import Running
    from ims_core.service.session import Session
    from ims_core.service.waiting import Deadline
    from ims_images import ImageInfo

__all__ = ["Boot", "delete_template", "import_template"]

_LONGEST_CMDLINE = 1024


@dataclass(frozen=True, slots=True)
class Boot:
    """How a template's VMs boot, as the caller gave it; the files are paths."""

    method: str = ""
    kernel: str = ""
    ramdisk: str = ""
    cmdline: str = ""


def import_template(
    session: Session,
    source: str,
    name: str,
    *,
    cache: Path,
    image_format: str,
    sha256: str,
    layout: str,
    default_user: str,
    min_memory: int,
    boot: Boot,
    deadline: Deadline,
) -> Template:
    """Bring an image into a pool as a template.

    Raises:
        InvalidError: The source, the digest or the image is not what it should be.
        ConflictError: ``template-exists``.
        ImsError: Whatever the provider refuses; nothing is left then.
    """
    provider = require(session.provider, TemplateStore)
    check_name("template", name)
    load_layout(layout)
    parts = _boot_files(boot, session.provider.features)
    if provider.find_template(name):
        raise ConflictError(
            f"there is a template {name!r} in pool {session.pool.name!r} already",
            code="template-exists",
            pool=session.pool.name,
            hint=f"`ims delete-template {name}` first, or choose another --name",
        )
    image = _obtain(source, cache, sha256, deadline, session.tell)
    reading = percent(Phase.FETCH, f"content of {image.name}", session.tell, deadline)
    info = inspect_image(image, declared=image_format, progress=reading)
    formats = session.provider.features.template_formats
    target = best_format(info.format, formats)
    if not target:
        raise UnsupportedError(
            f"provider {session.provider.name} makes no VMs from {info.format} images",
            hint=f"formats: {', '.join(formats)}",
        )
    if target == info.format:
        _check_room(session, provider, image, info)  # before all of it is read
    digest = _digest(image, sha256, deadline, session.tell)
    with ExitStack() as used:
        disk = image
        if target != info.format:
            work = Conversion(session, image, info, target)
            disk, info = used.enter_context(work.result(cache, deadline))
            hashing = percent(Phase.CONVERT, f"digest of {image.name}", session.tell, deadline)
            digest = file_digest(disk, progress=hashing)
            _check_room(session, provider, image, info)
        template = Template(
            name=name,
            format=info.format,
            digest=digest,
            size=info.size,
            virtual_size=info.virtual_size,
            layout=layout,
            default_user=default_user,
            min_memory=min_memory,
            source=public_url(source) if "://" in source else source,
            boot=boot.method,
            cmdline=boot.cmdline,
            **{role: file_digest(path) for role, path in parts.items()},
        )
        with recorded(session, Kind.IMPORT, name, undo=_undo_import) as running:
            progress = percent(Phase.UPLOAD, name, running.session.tell, deadline)
            template = replace(template, operation=running.journal.operation)
            files = {"image": disk, **parts}
            provider.import_template(files, template, running.journal, progress)
    if "://" in source:
        image.unlink(missing_ok=True)  # it is in the pool; what is kept serves only to resume
    session.report(Event(Phase.DONE, f"template {name} ({template.format}, {digest})"))
    return template


def _check_room(session: Session, store: TemplateStore, image: Path, info: ImageInfo) -> None:
    room = store.template_room()
    if room is not None and info.size > room:
        raise CapacityError(
            f"image {image.name} has {info.size} bytes as {info.format},"
            f" and pool {session.pool.name!r} has {room} left",
            code="pool-full",
            pool=session.pool.name,
            hint="free space there, or import it into another pool",
        )


def _undo_import(running: Running, error: BaseException) -> Outcome:
    """Leave nothing of a template that is not to be."""
    session = running.session
    session.report(Event(Phase.ROLL_BACK, "removing what was made of the template"))
    left = session.roll_back(running.journal)
    if isinstance(error, ImsError):
        error.details += tuple(f"left behind: {each}" for each in left.all)
    return Outcome.UNFINISHED if left.ours else Outcome.FAILED


def delete_template(session: Session, name: str) -> None:
    """Remove a template that no VM depends on, nor one that is being made at this moment.

    Raises:
        NotFoundError: ``template-not-found``.
        ConflictError: ``template-in-use``.
    """
    store = require(session.provider, TemplateStore)
    found = store.find_template(name)
    goal = found.operation if found else ""
    with recorded(session, Kind.DELETE_TEMPLATE, name, goal=goal):
        for intent in session.store.intents(session.pool.name):
            if intent.mark.template == name and not intent.mark.complete:
                raise ConflictError(
                    f"template {name!r} is in use: VM {intent.name!r} is being made from it",
                    code="template-in-use",
                    vm=intent.name,
                    hint="wait until that is done; `ims recover` ends what was cut short",
                )
        store.delete_template(name)


def _obtain(source: str, cache: Path, sha256: str, deadline: Deadline, tell: Listener) -> Path:
    """A local file with the image."""
    if "://" in source:
        return fetch(
            source,
            cache,
            sha256=sha256,
            timeout=deadline.left,
            progress=percent(Phase.FETCH, public_url(source), tell, deadline),
        )
    image = Path(source).expanduser()
    if not image.is_file():
        raise InvalidError(
            f"there is no image file {source!r}",
            code="image-not-found",
            hint="give the path of an image file, or an https:// URL",
        )
    return image


def _boot_files(boot: Boot, features: Features) -> dict[str, Path]:
    """The kernel and the ramdisk by their roles, if the provider has a use for them.

    Raises:
        UnsupportedError: ``boot-impossible``.
        InvalidError: What was given does not belong together, or is no file.
    """
    methods = features.boot_methods
    if boot != Boot() and not methods:
        raise UnsupportedError(
            "this provider boots its VMs from their images alone",
            code="boot-impossible",
            hint="leave --boot, --kernel, --ramdisk and --cmdline out",
        )
    if boot.method and boot.method not in methods:
        raise UnsupportedError(
            f"this provider has no way to boot called {boot.method!r}",
            code="boot-impossible",
            hint=f"--boot is one of: {', '.join(methods)}",
        )
    if (boot.ramdisk or boot.cmdline) and not boot.kernel:
        raise InvalidError(
            "a ramdisk or a command line was given, but no kernel that they belong to",
            hint="give --kernel as well, or neither: then the image boots by itself",
        )
    if len(boot.cmdline) > _LONGEST_CMDLINE or not boot.cmdline.isprintable():
        raise InvalidError(
            "the kernel's command line is too long, or holds control characters",
            hint=f"--cmdline has at most {_LONGEST_CMDLINE} printable characters",
        )
    given = {"kernel": boot.kernel, "ramdisk": boot.ramdisk}
    files = {role: Path(path).expanduser() for role, path in given.items() if path}
    for role, path in files.items():
        if not path.is_file():
            raise InvalidError(
                f"there is no {role} file {str(path)!r}",
                code=f"{role}-not-found",
                hint=f"--{role} is the path of a file on this machine",
            )
    return files


def _digest(image: Path, sha256: str, deadline: Deadline, tell: Listener) -> str:
    """The file's digest, checked if one was given, else told with a warning."""
    progress = percent(Phase.FETCH, f"digest of {image.name}", tell, deadline)
    digest = file_digest(image, progress=progress)
    if sha256:
        check_digest(sha256, digest)
        return digest
    unproved = "no --sha256 was given, so nothing proves where the image is from"
    tell(Event(Phase.FETCH, f"{unproved}; its digest is {digest}", warning=True))
    return digest
