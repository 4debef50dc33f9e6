"""The numbered sentences of the SPI, read from where they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from ims_core import spi

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Proves", "Sentence", "contract", "mends", "proves"]

_SENTENCE = re.compile(r"^ {4}(\d+)\. (.*(?:\n {7,8}\S.*)*)", re.MULTILINE)
_CLAIM = re.compile(r"(\d+)\. \S")
_MEND = "\n\nMend: "


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of the contract.

    Attributes:
        number: As in :mod:`ims_core.spi`.
        section: The heading above it.
        text: Of it, on one line.
    """

    number: int
    section: str
    text: str


@dataclass(frozen=True, slots=True)
class Proves:
    """What a test's docstring says.

    Attributes:
        sentence: The number of the sentence that it proves.
        claim: What it proves of that, on one line.
        mend: What an author does about it if it fails.
    """

    sentence: int
    claim: str
    mend: str


@cache
def contract() -> dict[int, Sentence]:
    """Every sentence by its number."""
    found: dict[int, Sentence] = {}
    for section in re.split(r"\n(?=\S)", spi.__doc__ or ""):
        heading = section.partition("\n")[0]
        for number, text in _SENTENCE.findall(section):
            found[int(number)] = Sentence(int(number), heading, _line(text))
    return found


def proves(test: Callable[..., object]) -> Proves | None:
    """What a test proves, if its docstring begins with a sentence's number."""
    claim = _unindented(test.__doc__ or "").partition("\n\n")[0]
    if not (match := _CLAIM.match(claim)):
        return None
    return Proves(int(match[1]), _line(claim), mends(test.__doc__ or ""))


def mends(doc: str) -> str:
    """The paragraph of a docstring that says what an author does about a failure."""
    return _line(_unindented(doc).partition(_MEND)[2].partition("\n\n")[0])


def _unindented(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _line(text: str) -> str:
    return " ".join(text.split())
