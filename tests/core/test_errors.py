"""The error tree: drawn as it is, with a status for each branch, and fit for machines."""

from __future__ import annotations

import json
import re

import ims_core.errors
from ims_core.errors import ImsError, NotFoundError

DOCSTRING = ims_core.errors.__doc__ or ""


def classes(root: type[ImsError]) -> list[type[ImsError]]:
    below = (cls for child in root.__subclasses__() for cls in classes(child))
    return [root, *(cls for cls in below if cls.__module__ == "ims_core.errors")]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"^ {4}([│├└─ ]*)(\w+Error|ImsError)\b", DOCSTRING, re.MULTILINE)
    expected = [(cls.__name__, len(cls.__mro__)) for cls in classes(ImsError)]
    top = len(ImsError.__mro__)
    assert [(name, top + len(indent) // 4) for indent, name in drawn] == expected


def test_statuses_in_the_docstring_are_the_statuses() -> None:
    told = dict(re.findall(r"(\w+Error) +exit (\d+)", DOCSTRING))
    for cls in ImsError.__subclasses__():
        if cls.__module__ == "ims_core.errors":
            assert told[cls.__name__] == str(cls.exit_status)
    assert len(set(told.values())) == len(told), "each branch has a status of its own"


def test_every_class_is_public_and_its_code_stable_and_its_own() -> None:
    codes = [cls.code for cls in classes(ImsError)]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)
    assert {cls.__name__ for cls in classes(ImsError)} == set(ims_core.errors.__all__)


def test_an_error_as_json_has_its_parts_and_the_hypervisors_own_words() -> None:
    error = NotFoundError("no VM 'x'", code="vm-not-found", vm="x", hint="look")
    error.__cause__ = OSError("no such domain")
    plain = json.loads(json.dumps(error.to_json()))
    assert plain["code"] == "vm-not-found"
    assert plain["cause"] == "no such domain"
    assert plain["retryable"] is False
