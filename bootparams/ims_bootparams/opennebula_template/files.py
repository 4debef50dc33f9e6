"""The files that a template puts on the medium.

``FILES`` has paths, parted by blanks or line breaks; ``path:name`` gives another name than the
path's last part. ``FILES_DS`` has variables ``$FILE[…]``. As OpenNebula does it, a blank or a slash
in a name becomes an underscore.

Source: OpenNebula's ``VirtualMachineContext.cc`` and ``tm_mad/common/context``.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_bootparams.digest import check_media_name
from ims_bootparams.opennebula_template.references import Reference, split
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["MediumFile", "medium_files"]

_FLAT = str.maketrans("/ ", "__")


@dataclass(frozen=True, slots=True)
class MediumFile:
    """A file that is to be on the medium.

    Attributes:
        name: On the medium, at its root.
        path: Where it is here, as the template or the facts have it.
    """

    name: str
    path: str


def medium_files(
    paths: str, registered: str, known: Sequence[Mapping[str, str]]
) -> tuple[MediumFile, ...]:
    """The files of a context.

    Args:
        paths: The value of ``FILES``.
        registered: The value of ``FILES_DS``, with its variables.
        known: What these may name; see :class:`~.variables.Facts`.

    Raises:
        InvalidError: A file is not known, is no local one, or has a name that a medium cannot
            have or that another has; the message names the attribute.
    """
    files: dict[str, MediumFile] = {}
    for field, found in (
        ("CONTEXT.FILES", _listed("CONTEXT.FILES", paths)),
        ("CONTEXT.FILES_DS", _registered("CONTEXT.FILES_DS", registered, known)),
    ):
        for file in found:
            _check_name(field, file.name)
            # FAT and Joliet do not tell upper case from lower.
            if files.setdefault(file.name.lower(), file) is not file:
                hint = 'Give one of them another name, as in FILES = "/a/path:name".'
                raise InvalidError(f"{field}: {file.name!r} is there already", hint=hint)
    return tuple(files.values())


def _listed(field: str, paths: str) -> Iterator[MediumFile]:
    for index, word in enumerate(paths.split()):
        if "://" in word:  # not shown, since it may hold a password
            hint = "Fetch it first, and give its path."
            raise InvalidError(f"{field}[{index}]: it is a URL, and no path", hint=hint)
        path, colon, name = word.partition(":")
        yield MediumFile(name.translate(_FLAT) if colon else posixpath.basename(path), path)


def _registered(field: str, text: str, known: Sequence[Mapping[str, str]]) -> Iterator[MediumFile]:
    for part in split(field, text):
        if not isinstance(part, Reference):
            if part.strip():
                hint = 'Write FILES_DS = "$FILE[IMAGE_ID=3] $FILE[IMAGE=\\"name\\"]".'
                raise InvalidError(f"{field}: it has more than variables $FILE[…]", hint=hint)
            continue
        if part.name != "FILE" or part.attribute or not part.where:
            hint = 'Write $FILE[IMAGE_ID=3], $FILE[IMAGE="name"] or $FILE[IMAGE=…, IMAGE_UNAME=…].'
            raise InvalidError(f"{field}: {part} names no file", hint=hint)
        record = next((each for each in known if set(part.where) <= set(each.items())), None)
        if record is None:
            names = ", ".join(sorted(each["IMAGE"] for each in known)) or "none"
            raise InvalidError(f"{field}: {part} is not known", hint=f"There is: {names}.")
        yield MediumFile(record["IMAGE"].translate(_FLAT), record["PATH"])


def _check_name(field: str, name: str) -> None:
    try:
        check_media_name(name)
    except InvalidError as error:
        hint = 'Give it another name, as in FILES = "/a/path:name".'
        raise InvalidError(f"{field}: {error}", code=error.code, hint=hint) from None
