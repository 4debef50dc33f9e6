r"""The syntax of OpenNebula's templates.

.. code-block:: text

    NAME = value                        # a comment, to the end of its line
    NAME = "a \"quoted\" value,
            over several lines"
    NAME = [ KEY = value, KEY = "value" ]

Names and keys come out in upper case, as in OpenNebula. In quotes, ``\"`` is a quote and any other
backslash is itself. Without quotes, a value is one word. Attributes may stand on one line, and may
come again.

Two things are read that OpenNebula refuses, since manuals and slides print them: a comma before the
closing bracket, and a vector that only the end of the file closes. A key that comes twice in a
vector is refused, where OpenNebula would drop the second.

Source: OpenNebula's ``template_parser.l`` and ``template_syntax.y``; its manual, "Virtual Machine
Template".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MAX_BYTES", "Attribute", "Template", "parse"]

MAX_BYTES = 1 << 20
"""Of a template; the largest that are written by hand have a hundredth of it."""

# Possessive, all of them: no text makes them try twice.
_SKIPPED = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_REST_OF_LINE = re.compile(r"[ \t\r]*+")
_NAME = re.compile(r"[A-Za-z0-9_]++")
_WORD = re.compile(r'[^ \t\r\n=#,\[\]"]++')

_HINT = (
    'Write NAME = "value" or NAME = [ KEY = "value", … ]; what is not one plain word needs quotes,'
    r" and a quote within is written \"."
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a template.

    Attributes:
        name: In upper case.
        value: Text, or for a vector its values by key, in the template's order.
    """

    name: str
    value: str | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Template:
    """What a template says, in its order.

    Attributes:
        attributes: All of them, also those that come again.
    """

    attributes: tuple[Attribute, ...] = ()

    def single(self, name: str) -> str:
        """The value of an attribute that may come once; empty if it does not come.

        Raises:
            InvalidError: It comes again, or is a vector.
        """
        values = [each.value for each in self.attributes if each.name == name]
        if len(values) > 1:
            raise InvalidError(f"{name}: it is given {len(values)} times", hint="Keep one of them.")
        value = values[0] if values else ""
        if not isinstance(value, str):
            raise InvalidError(f"{name}: it is a vector", hint=f'Write {name} = "value".')
        return value

    def vectors(self, name: str) -> tuple[Mapping[str, str], ...]:
        """The vectors of that name.

        Raises:
            InvalidError: One of them is no vector.
        """
        found = []
        for index, each in enumerate(each for each in self.attributes if each.name == name):
            if isinstance(each.value, str):
                hint = f'Write {name} = [ KEY = "value", … ].'
                raise InvalidError(f"{name}[{index}]: it is no vector", hint=hint)
            found.append(each.value)
        return tuple(found)


def parse(content: bytes) -> Template:
    """Read a template.

    Args:
        content: The whole file.

    Returns:
        Its attributes, with the variables in them as they are written.

    Raises:
        InvalidError: It is too large, is no text, or does not follow the syntax; the message names
            line and column, and what was expected there.
    """
    if len(content) > MAX_BYTES:
        problem = f"OpenNebula template: it has {len(content)} bytes"
        raise InvalidError(problem, hint=f"Give at most {MAX_BYTES}; put data into FILES.")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        problem = f"OpenNebula template: it is not UTF-8 at byte {error.start}"
        raise InvalidError(problem, hint="Save it as UTF-8; put data into FILES.") from None
    reader = _Reader(text)
    if "\0" in text:
        raise reader.error(text.index("\0"), "there is a NUL character", hint="Remove it.")
    return Template(tuple(reader.attributes()))


class _Reader:
    """A place in a text, and what is read from there."""

    __slots__ = ("_at", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def attributes(self) -> Iterator[Attribute]:
        while self._next():
            name = self._name("a name")
            start = self._text[self._at : self._at + 1]
            if start == "[":
                yield Attribute(name, MappingProxyType(self._vector()))
            elif start in ("", "\n", "#"):
                yield Attribute(name, "")
            else:
                yield Attribute(name, self._value())

    def error(self, at: int, problem: str, hint: str = _HINT) -> InvalidError:
        """Never with what stands there: it may be a secret."""
        line = self._text.count("\n", 0, at) + 1
        column = at - self._text.rfind("\n", 0, at)
        place = f"OpenNebula template, line {line}, column {column}"
        return InvalidError(f"{place}: {problem}", hint=hint)

    def _next(self) -> str:
        """The next character that is neither blank nor in a comment; none at the end."""
        self._take(_SKIPPED)
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _name(self, expected: str) -> str:
        """A name, with the equals sign that follows it."""
        name = self._take(_NAME)
        if not name:
            raise self.error(self._at, f"expected {expected}")
        self._take(_REST_OF_LINE)
        if not self._text.startswith("=", self._at):
            raise self.error(self._at, "expected =")
        self._at += 1
        self._take(_REST_OF_LINE)
        return name.upper()

    def _vector(self) -> dict[str, str]:
        values: dict[str, str] = {}
        self._at += 1
        while self._next() not in ("]", ""):
            start = self._at
            key = self._name("a key or ]")
            if key in values:
                raise self.error(start, f"{key} is there already", hint="Keep one of the two.")
            values[key] = self._value()
            if self._next() == ",":
                self._at += 1
            elif self._next() not in ("]", ""):
                raise self.error(self._at, "expected a comma or ]")
        self._at += 1
        return values

    def _value(self) -> str:
        if self._text.startswith('"', self._at):
            return self._quoted()
        word = self._take(_WORD)
        if not word:
            raise self.error(self._at, "expected a value")
        return word

    def _quoted(self) -> str:
        start = end = self._at
        while end == start or self._text[end - 1] == "\\":
            end = self._text.find('"', end + 1)
            if end < 0:
                raise self.error(start, "expected another quote that closes this one")
        self._at = end + 1
        return self._text[start + 1 : end].replace(r"\"", '"')
