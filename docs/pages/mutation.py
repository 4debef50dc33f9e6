"""``mutants.md``: which test of the suite catches which mistake, as tried last."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from docs.pages import GENERATED, ROOT, marked_up
from ims_core.testing.contract import contract

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["mutation"]

RECORD = ROOT / "tests" / "mutants" / "trials.json"


def mutation() -> str:
    """The whole page."""
    trials = json.loads(RECORD.read_text(encoding="utf-8"))
    caught = sum(bool(each["caught"]) for each in trials)
    late = sum(not each["at_first"] for each in trials)
    lines = [
        "# What the suite catches",
        "",
        GENERATED,
        "",
        "Mutants are variants of the fake provider with one mistake each, written from the",
        "contract by somebody who had not read the suite, but for those of sentences 25 and 26,",
        "which are by the author of their tests. Each was tried alone, up to the first test that",
        "failed: `python -m tests.mutants.trial`.",
        "",
        f"{caught} of {len(trials)} are caught; {late} escaped when they were first tried.",
        "",
        "## Those that escape",
        "",
        *_table([each for each in trials if not each["caught"]]),
        "",
        "## Those that escaped at first",
        "",
        "Caught since the suite was extended, by whoever knew this list and the sentences.",
        "",
        *_table([each for each in trials if each["caught"] and not each["at_first"]]),
    ]
    for sentence in contract().values():
        lines += ["", f"## Sentence {sentence.number}", "", marked_up(sentence.text), ""]
        lines += _table([each for each in trials if each["sentence"] == sentence.number])
    return "\n".join(lines) + "\n"


def _table(trials: list[dict[str, Any]]) -> Iterator[str]:
    yield "| mutant | mistake | caught by |"
    yield "|---|---|---|"
    for each in sorted(trials, key=lambda trial: (trial["sentence"], trial["name"])):
        found = f"`{each['caught']}`" if each["caught"] else "**nothing**"
        yield f"| {each['name']} | {each['mistake']} | {found} |"
