"""The conformance suite names what it proves, and forgets none of its own tests."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from ims_core import spi
from ims_core.testing import TOPICS, suite
from ims_core.testing.contract import proves

if TYPE_CHECKING:
    from types import FunctionType

SHORTEST_ADVICE = 20
SENTENCES = {int(number) for number in re.findall(r"^ +(\d+)\. ", spi.__doc__ or "", re.MULTILINE)}


def topic_tests(topic: str) -> list[FunctionType]:
    module = import_module(f"ims_core.testing.{topic}")
    functions = inspect.getmembers(module, inspect.isfunction)
    return [each for name, each in functions if name.startswith("test_")]


def proved(test: FunctionType) -> int:
    match = re.match(r"(\d+)\. [a-zA-Z]", test.__doc__ or "")
    assert match, f"{test.__name__} does not begin with the sentence that it proves"
    return int(match[1])


@pytest.mark.parametrize("topic", TOPICS)
def test_each_test_is_exported_and_names_its_sentence(topic: str) -> None:
    for test in topic_tests(topic):
        assert test.__name__ in suite.__all__
        assert proved(test) in SENTENCES


@pytest.mark.parametrize("topic", TOPICS)
def test_each_test_says_how_to_mend_what_failed(topic: str) -> None:
    for test in topic_tests(topic):
        said = proves(test)
        assert said is not None, test.__name__
        assert len(said.mend) >= SHORTEST_ADVICE, f"{test.__name__} has no paragraph `Mend: …`"


def test_every_sentence_is_proved() -> None:
    found = {proved(test) for topic in TOPICS for test in topic_tests(topic)}
    assert found == SENTENCES
