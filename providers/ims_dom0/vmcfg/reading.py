r"""What a domain configuration file says, for files of xm (Python) and of xl alike.

Nothing is executed, and Python's own parser is not used either: on hostile text it can exhaust the
C stack. This is the part of Python's grammar that such files are made of, and xl's whole grammar
(Xen's libxlu_cfg_l.l and libxlu_cfg_y.y)::

    file   = *( [ key ( "=" / "+=" ) value ] ( LF / ";" ) )
    key    = ( letter / "_" ) *( letter / digit / "_" / "." )
    value  = 1*string / [ "-" ] number / "True" / "False" / list
    list   = "[" [ value *( "," value ) [ "," ] ] "]", or the same in parentheses

Strings are quoted once, by ``'`` or ``"``, on one line, with the escapes of one letter that Python
and xl have in common; ``u`` may precede them, since that is how Python 2 prints a Unicode string.
Several in a row are one, as in Python. Numbers are whole, in decimal, in octal after a ``0``, or
in hexadecimal, and Python 2's ``L`` may follow. In brackets, lines may be broken; ``#`` begins a
comment.

Refused, since neither tool's settings need it and each would be a chance to read something else
than xm did: fractions (no setting has any, and xl has no word for them), ``None``, dictionaries,
triple quotes, a backslash at the end of a line, and escapes by number, which xl gets wrong and
which in Python 2 stand for bytes of an encoding that the file does not tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["Value", "parse"]

#: A value: text, a whole number, or a list of values; a tuple in the file is a list as well.
Value: TypeAlias = "str | int | tuple[Value, ...]"

_MAX_CHARACTERS = 1 << 20
_MAX_DEPTH = 8
_MAX_NUMBER = (1 << 63) - 1  # xl reads numbers into a C long
_MAX_SHOWN = 40

_TOKEN = re.compile(
    r"""
      (?P<blank>  [ \t]++ | \#[^\n]*+ )
    | (?P<end>    \r?\n | ; )
    | (?P<triple> [uU]?(?:'''|\"\"\") )
    | (?P<string> [uU]?(?: '(?:[^'\\\n]|\\[^\n])*+' | "(?:[^"\\\n]|\\[^\n])*+" ) )
    | (?P<word>   [A-Za-z0-9_][A-Za-z0-9_.]*+ )
    | (?P<mark>   \+= | [=,()\[\]-] )
    | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL,
)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_NUMBER = re.compile(
    r"(?:(?P<hex>0[xX][0-9A-Fa-f]+)|(?P<octal>0[0-7]*)|(?P<decimal>[1-9][0-9]{0,18}))[lL]?"
)
_BASES = {"hex": 16, "octal": 8, "decimal": 10}
_TRUTHS = {"True": 1, "False": 0}
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {
    **{character: character for character in "\\'\""},
    **dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)),
}
_CLOSING = {"[": "]", "(": ")"}
_HINT = "nothing in the file is executed: write the value itself, as a string, a number or a list"


def parse(text: str) -> dict[str, Value]:
    """Read a domain configuration file.

    Args:
        text: The whole file, of xm or of xl.

    Returns:
        Values by key, in the order in which the keys first come. A key that is assigned again has
        its last value, as in both tools; ``+=`` extends a string or a list, and is ``=`` for a
        key that has no value yet, as in xl. True is 1 and False is 0.

    Raises:
        InvalidError: Anything is outside the grammar above, is nested more than 8 deep, or the
            file has more than 2^20 characters, or a NUL; the message names the line, and the hint
            says what to do.
    """
    if len(text) > _MAX_CHARACTERS:
        raise InvalidError(
            f"vm.cfg: has {len(text)} characters, more than {_MAX_CHARACTERS}",
            hint="give the file of one VM; none needs that much",
        )
    tokens = _Tokens(text)
    # Parts, joined in the end: a long row of += must not copy what is there each time.
    parts: dict[str, list[Value]] = {}
    while tokens.next.kind != "eof":
        token = tokens.take()
        if token.kind != "end":
            _statement(tokens, token, parts)
    return {key: _joined(values) for key, values in parts.items()}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


class _Tokens:
    """The text's tokens, without blanks and comments, and ever after them one of kind ``eof``.

    Attributes:
        next: The token to come.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._matches = _TOKEN.finditer(text)
        self.next = self._read()

    def take(self) -> _Token:
        """The token to come, which is then behind."""
        token, self.next = self.next, self._read()
        return token

    def skip_lines(self) -> None:
        """Leave line ends behind, as within brackets."""
        while self.next.kind == "end" and self.next.text != ";":
            self.take()

    def refuse(self, token: _Token, why: str, hint: str = _HINT) -> NoReturn:
        """Refuse the file at this token."""
        line = self._text.count("\n", 0, token.position) + 1
        raise InvalidError(f"vm.cfg, line {line}: {why}", hint=hint)

    def _read(self) -> _Token:
        for match in self._matches:
            token = _Token(str(match.lastgroup), match[0], match.start())
            if "\0" in token.text:
                self.refuse(token, "there is a NUL character", "this is no text file; look at it")
            if token.kind != "blank":
                return token
        return _Token("eof", "", len(self._text))


def _statement(tokens: _Tokens, key: _Token, parts: dict[str, list[Value]]) -> None:
    operator = tokens.take()
    if key.kind != "word" or operator.text not in {"=", "+="}:
        tokens.refuse(key, f"{_shown(key)} does not begin an assignment KEY = VALUE")
    if not _KEY.fullmatch(key.text):
        tokens.refuse(key, f"{_shown(key)} is not a key", "a key begins with a letter")
    value = _value(tokens, depth=0)
    end = tokens.take()
    if end.kind not in {"end", "eof"}:
        tokens.refuse(end, f"{_shown(end)} follows the value of {_shown(key)}")
    before = parts.setdefault(key.text, [])
    if operator.text == "=":
        before.clear()
    elif isinstance(value, int) or (before and type(value) is not type(before[0])):
        tokens.refuse(
            operator,
            f"{_shown(key)} += joins two strings, or two lists, but not this",
            "assign the whole value once",
        )
    before.append(value)


def _joined(values: list[Value]) -> Value:
    if len(values) == 1:
        return values[0]
    texts = [value for value in values if isinstance(value, str)]
    if texts:
        return "".join(texts)
    return tuple(chain.from_iterable(value for value in values if isinstance(value, tuple)))


def _value(tokens: _Tokens, *, depth: int) -> Value:
    token = tokens.take()
    if token.kind == "string":
        return _strings(tokens, token, within_brackets=depth > 0)
    if token.text in _CLOSING:
        return _list(tokens, token, depth + 1)
    if token.text in _TRUTHS:
        return _TRUTHS[token.text]
    if token.text == "-":
        return -_number(tokens, tokens.take())
    return _number(tokens, token)


def _strings(tokens: _Tokens, token: _Token, *, within_brackets: bool) -> str:
    texts = [_unquoted(tokens, token)]
    while True:
        if within_brackets:
            tokens.skip_lines()
        if tokens.next.kind != "string":
            return "".join(texts)
        texts.append(_unquoted(tokens, tokens.take()))


def _unquoted(tokens: _Tokens, token: _Token) -> str:
    def plain(escape: re.Match[str]) -> str:
        if escape[1] not in _ESCAPED:
            tokens.refuse(
                token,
                f"the escape {escape[0]} is not one that xm and xl read alike",
                r"write the character itself, or \\ for a backslash",
            )
        return _ESCAPED[escape[1]]

    return _ESCAPE.sub(plain, token.text.lstrip("uU")[1:-1])


def _list(tokens: _Tokens, opening: _Token, depth: int) -> Value:
    if depth > _MAX_DEPTH:
        tokens.refuse(opening, f"lists are nested more than {_MAX_DEPTH} deep", "make it flatter")
    closing = _CLOSING[opening.text]
    values: list[Value] = []
    comma = False
    tokens.skip_lines()
    while tokens.next.text != closing:
        if values and not comma:
            at = tokens.next
            tokens.refuse(at, f"{_shown(at)} stands where a comma or {closing} should")
        values.append(_value(tokens, depth=depth))
        tokens.skip_lines()
        comma = tokens.next.text == ","
        if comma:
            tokens.take()
            tokens.skip_lines()
    tokens.take()
    if opening.text == "(" and len(values) == 1 and not comma:
        return values[0]  # parentheses alone make no tuple
    return tuple(values)


def _number(tokens: _Tokens, token: _Token) -> int:
    match = _NUMBER.fullmatch(token.text)
    if not match:
        if token.kind == "triple":
            tokens.refuse(token, "triple quotes are not read", "quote the text once, on one line")
        if token.text in {"'", '"'}:
            tokens.refuse(token, "a string does not end on its line", "close the quotes")
        tokens.refuse(token, f"{_shown(token)} stands where a string, whole number or list should")
    kind = str(match.lastgroup)
    number = int(match[kind], _BASES[kind])
    if number > _MAX_NUMBER:
        tokens.refuse(token, f"{_shown(token)} is more than xl can hold", "2^63 - 1 is the most")
    return number


def _shown(token: _Token) -> str:
    """The token, for a message; not a string's text, which may be a VNC password."""
    if token.kind in {"word", "mark", "other"}:
        return repr(token.text[:_MAX_SHOWN])
    return {"eof": "the end of the file", "end": "the end of the line"}.get(token.kind, "a string")
