"""What a layout says of what it cannot carry, and the files that are on the medium itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ims_bootparams.digest import LIST_FILE, NONCE_FILE, check_media_name
from ims_core.errors import InvalidError
from ims_core.models import Context

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["ON_MEDIUM", "beside", "buildable", "refuse_all_but", "set_apart"]

ON_MEDIUM = "/mnt/context/"
"""A context's file below this directory is put on the medium itself, under the rest of its path, by
layouts whose readers look for files there; the others have it written to this very path."""

_ALWAYS = ("instance_id", "hostname", "interfaces", "default_user")
_EMPTY = Context()


def refuse_all_but(layout: str, context: Context, carried: Collection[str]) -> None:
    """Refuse what this layout has no place for.

    Args:
        layout: Its name.
        context: Valid.
        carried: The fields that it has a place for, beside the VM's identity and its cards, of
            which it judges itself.

    Raises:
        InvalidError: The first other field that is not empty.
    """
    for field in Context.__slots__:
        if field in carried or field in _ALWAYS:
            continue
        if getattr(context, field) != getattr(_EMPTY, field):
            raise InvalidError(
                f"context.{field}: the layout {layout} cannot carry it",
                hint="Leave it out, or choose another layout; docs/context.md tells what each"
                " carries.",
            )


def set_apart(context: Context) -> tuple[Context, dict[str, bytes]]:
    """The context without the files that belong on the medium, and these by their names there.

    Their mode and owner are the medium's.

    Raises:
        InvalidError: A medium could not have a file of that name.
    """
    files: dict[str, bytes] = {}
    others = []
    for index, file in enumerate(context.files):
        if not file.path.startswith(ON_MEDIUM):
            others.append(file)
            continue
        name = file.path.removeprefix(ON_MEDIUM)
        try:
            check_media_name(name)
        except InvalidError as error:
            hint = error.hint or "Rename it."
            raise InvalidError(f"context.files[{index}].path: {error}", hint=hint) from None
        files[name] = file.content
    return replace(context, files=tuple(others)), files


def beside(files: Mapping[str, bytes], own: Mapping[str, bytes]) -> dict[str, bytes]:
    """A layout's files, and beside them those that :func:`set_apart` found.

    Raises:
        InvalidError: One of these has a name that the layout needs, or no medium could hold them
            side by side; FAT and Joliet do not tell upper case from lower.
    """
    if not own:
        return dict(files)
    taken = {name.lower() for name in (*files, NONCE_FILE, LIST_FILE)}
    for name in own:
        if name.lower() in taken:
            raise InvalidError(
                f"context.files: {ON_MEDIUM}{name} has the name of a file of the layout",
                hint="Rename it.",
            )
    return buildable({**files, **own})


def buildable(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same files, if a medium can hold them side by side.

    Raises:
        InvalidError: It cannot; only the caller's own files can be the reason.
    """
    from ims_bootparams.media.tree import check_files  # noqa: PLC0415 - brings all the media

    try:
        check_files(files, None)
    except InvalidError as error:
        hint = error.hint or "Rename it, or put it elsewhere."
        raise InvalidError(f"context.files: {error}", code=error.code, hint=hint) from None
    return files
