"""The suite catches what it is recorded to catch, by the tests that are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ims_core.testing.contract import contract
from tests.mutants import MUTANTS
from tests.mutants.trial import caught, recorded

if TYPE_CHECKING:
    from tests.mutants.mutant import Mutant

TRIALS = recorded()
# Of each sentence the first that is caught is tried each time.
QUICK: dict[int, str] = {}
for each in MUTANTS:
    if each.name in TRIALS and TRIALS[each.name].caught:
        QUICK.setdefault(each.sentence, each.name)


def test_each_sentence_of_the_contract_has_a_mutant_that_is_caught() -> None:
    assert set(QUICK) == set(contract())


def test_every_mutant_was_tried_and_names_are_unique() -> None:
    assert list(TRIALS) == [each.name for each in MUTANTS]
    for mutant in MUTANTS:
        trial = TRIALS[mutant.name]
        assert (trial.sentence, trial.mistake) == (mutant.sentence, mutant.mistake)


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(
            each, id=each.name, marks=() if each.name in QUICK.values() else pytest.mark.full
        )
        for each in MUTANTS
        if each.name in TRIALS and TRIALS[each.name].caught
    ],
)
def test_a_mutant_is_caught(mutant: Mutant) -> None:
    assert caught(mutant, TRIALS[mutant.name].caught)
