"""What every check of a context uses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_hostname", "check_text", "check_unique", "invalid"]

_MAX_HOSTNAME = 253
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_SURROGATE = re.compile("[\ud800-\udfff]")


def invalid(field: str, problem: str, hint: str) -> InvalidError:
    """The error about one field of a context."""
    return InvalidError(f"{field}: {problem}", hint=hint)


def check_text(field: str, text: str) -> None:
    """Refuse text that no file or shell variable could hold."""
    if "\0" in text:
        raise invalid(field, "it holds a NUL character", "Remove it; put bytes into a file.")
    if _SURROGATE.search(text):
        raise invalid(field, "it is not valid Unicode", "Give UTF-8; put bytes into a file.")


def check_unique(field: str, values: Iterable[str], hint: str) -> None:
    """Refuse a value that comes twice; ``{}`` in ``field`` stands for the index."""
    first: dict[str, int] = {}
    for index, value in enumerate(values):
        other = first.setdefault(value, index)
        if other != index:
            name = field.format(index)
            raise invalid(name, f"{value!r} is already at {field.format(other)}", hint)


def check_hostname(field: str, name: str) -> None:
    """Refuse what is not a host name, with or without a domain (RFC 1123, section 2.1)."""
    labels = name.split(".")
    if len(name) > _MAX_HOSTNAME or not all(_LABEL.fullmatch(label) for label in labels):
        hint = "Use letters, digits and hyphens, up to 63 in each part between dots (RFC 1123)."
        raise invalid(field, f"{name!r} is not a host name", hint)
