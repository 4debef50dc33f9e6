"""``support-matrix.md``: what was proved of each provider, from the reports in ``docs/proofs``.

``make proofs`` writes them; one of them, ``pytest tests/kvm/test_conformance.py -m '' --ims-report
docs/proofs/kvm.json``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs.pages import DOCS, GENERATED
from ims_core.models import Carrier
from ims_core.spi import OPTIONAL
from ims_core.testing import TOPICS
from ims_core.testing.report import Outcome, from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ims_core.testing.report import Proof, Report

__all__ = ["matrix"]

PROOFS = DOCS / "proofs"
FEATURES = (*OPTIONAL, *(f"carrier {carrier}" for carrier in Carrier))


def matrix() -> str:
    """The whole page."""
    runs = [run for path in sorted(PROOFS.glob("*.json")) for run in from_json(path.read_text())]
    lines = [
        "# What was proved of each provider",
        "",
        GENERATED,
        "",
        "Every number is a count of tests of the [suite](writing-a-provider.md) in a real run,",
        "whose reports lie in [proofs](proofs). Nothing here is written by hand; `make proofs`",
        "runs all of them again.",
        "",
        "## Runs",
        "",
        f"| run | provider | what stood behind it | date | {' | '.join(Outcome)} |",
        "|--:|---|---|---|--:|--:|--:|--:|",
        *(_run(number, run) for number, run in enumerate(runs, 1)),
        "",
        "*Undeclared* is what the provider does not have; *left out* what that lab could not try.",
        "",
        "## Optional features",
        "",
        "Proved, and left out after a plus; empty where the provider does not have it.",
        "",
        *_table(runs, "feature", FEATURES, lambda proof, word: word in proof.features),
        "",
        "## Topics",
        "",
        *_table(runs, "topic", TOPICS, lambda proof, word: proof.topic == word),
        "",
        "## Which tests",
        "",
        "| feature | tests |",
        "|---|---|",
        *(f"| {word} | {_names(runs, word)} |" for word in FEATURES),
    ]
    return "\n".join(lines) + "\n"


def _run(number: int, run: Report) -> str:
    counts = " | ".join(str(run.counts()[outcome]) for outcome in Outcome)
    return f"| {number} | {run.provider} | {run.lab} | {run.date} | {counts} |"


def _table(
    runs: list[Report],
    heading: str,
    words: tuple[str, ...],
    about: Callable[[Proof, str], bool],
) -> Iterator[str]:
    heads = [f"{run.provider} ({number})" for number, run in enumerate(runs, 1)]
    yield f"| {heading} | {' | '.join(heads)} |"
    yield f"|---{'|--:' * len(runs)}|"
    for word in words:
        cells = [_cell([each for each in run.proofs if about(each, word)]) for run in runs]
        yield f"| {word} | {' | '.join(cells)} |"


def _cell(proofs: list[Proof]) -> str:
    counts = {o: sum(each.outcome is o for each in proofs) for o in Outcome}
    if failed := counts[Outcome.FAILED]:
        return f"**{failed} failed**"
    left_out = f" + {counts[Outcome.LEFT_OUT]}" if counts[Outcome.LEFT_OUT] else ""
    return f"{counts[Outcome.PROVED] or ''}{left_out}"


def _names(runs: list[Report], word: str) -> str:
    found = {
        each.test.partition("[")[0].removeprefix("test_").replace("_", " ")
        for run in runs
        for each in run.proofs
        if word in each.features and each.outcome is Outcome.PROVED
    }
    return "; ".join(sorted(found))
