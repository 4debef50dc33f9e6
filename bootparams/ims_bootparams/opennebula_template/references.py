r"""The variables in a template's values.

.. code-block:: text

    $NAME    $NAME[ATTRIBUTE]    $NAME[ATTRIBUTE, KEY=VALUE]    $FILE[KEY=VALUE, KEY=VALUE]

They may stand beside any text. Names and keys come out in upper case; a value that is not letters,
digits and ``._:-`` stands in quotes. Anywhere else a dollar sign is refused, as OpenNebula does it,
and after a backslash it is plain text, which keeps the backslash.

Source: OpenNebula's ``vm_var_parser.l``, ``vm_var_syntax.y`` and ``vm_file_var_syntax.y``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Reference", "split"]

_PLAIN = re.compile(r"(?:[^$\\]++|\\.?+)++", re.DOTALL)
_VARIABLE = re.compile(r"\$([A-Za-z0-9_]++)(\[?+)")
_ITEM = re.compile(
    r'\s*+([A-Za-z0-9_]++)\s*+(?:=\s*+(?:"([^"]*+)"|([A-Za-z0-9._:-]++))\s*+)?+([],])'
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A variable, as it is written.

    Attributes:
        name: What stands after the dollar sign.
        attribute: Which attribute of it is meant; empty if none is named.
        where: What the one that is meant has, as pairs of key and value.
    """

    name: str
    attribute: str = ""
    where: tuple[tuple[str, str], ...] = ()

    @property
    def is_lone(self) -> bool:
        """Whether it is a name without brackets."""
        return not self.attribute and not self.where

    def __str__(self) -> str:
        """As people write it."""
        items = [self.attribute] if self.attribute else []
        items += [f'{key}="{value}"' for key, value in self.where]
        return f"${self.name}[{', '.join(items)}]" if items else f"${self.name}"


def split(field: str, text: str) -> Iterator[str | Reference]:
    """The text and the variables of a value, in their order.

    Args:
        field: The value's, for errors.
        text: The value.

    Raises:
        InvalidError: A dollar sign begins no variable.
    """
    at = 0
    while at < len(text):
        if plain := _PLAIN.match(text, at):
            yield plain[0]
            at = plain.end()
            continue
        found = _reference(text, at)
        if found is None:
            raise _no_variable(field, at)
        reference, at = found
        yield reference


def _reference(text: str, at: int) -> tuple[Reference, int] | None:
    """The variable that begins there, and where it ends; None if none does."""
    variable = _VARIABLE.match(text, at)
    if not variable:
        return None
    name, more = variable.groups()
    at = variable.end()
    attribute = ""
    where: list[tuple[str, str]] = []
    while more:
        item = _ITEM.match(text, at)
        if not item:
            return None
        key, quoted, word, after = item.groups()
        value = word if quoted is None else quoted
        if value is not None:
            where.append((key.upper(), value))
        elif attribute or where:  # the attribute is one, and comes first
            return None
        else:
            attribute = key.upper()
        at = item.end()
        more = after == ","
    return Reference(name.upper(), attribute, tuple(where)), at


def _no_variable(field: str, at: int) -> InvalidError:
    # Not what stands there: it may be a part of a password.
    return InvalidError(
        f"{field}: the dollar sign at character {at + 1} begins no variable",
        hint='Variables are $NAME, $NAME[ATTRIBUTE] and $NAME[ATTRIBUTE, KEY="value"]; give other'
        " text with a dollar sign in base64, where there is such a variable.",
    )
