"""What a run of the suite has shown of a provider, as data, text, JSON and Markdown."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from textwrap import fill
from typing import TYPE_CHECKING, Any

from ims_core.testing import TOPICS
from ims_core.testing.contract import contract

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Outcome", "Proof", "Report", "from_json", "to_json", "to_markdown", "to_text"]

_WIDTH = 96


class Outcome(StrEnum):
    """What became of one test; a later one outweighs an earlier one."""

    PROVED = "proved"
    UNDECLARED = "undeclared"
    LEFT_OUT = "left out"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Proof:
    """One test of the suite, and what became of it.

    Attributes:
        test: Its name, with parameters.
        topic: The module it is from.
        sentence: The number of the sentence it proves.
        claim: What it proves of that.
        outcome: What became of it.
        reason: The feature that is undeclared, the field that was left out, or what was seen when
            it failed.
        mend: What the author does about it.
        where: The place that failed, ``file:line``.
        features: The optional features that it is about.
    """

    test: str
    topic: str
    sentence: int
    claim: str
    outcome: Outcome
    reason: str = ""
    mend: str = ""
    where: str = ""
    features: tuple[str, ...] = ()

    @property
    def is_about_the_call(self) -> bool:
        """Whether the method that raised an error is what it proves something of."""
        called = re.match(r"`(\w+)` raised", self.reason)
        return called is not None and called[1] in self.claim.split()


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has shown of one target.

    Attributes:
        provider: Its name.
        spi: The version of the SPI that it was written for.
        ims: The version of IMS.
        lab: What stood behind it, in the target's words.
        date: Of the run, as ``YYYY-MM-DD``, UTC.
        features: The words of what it declares, sorted.
        proofs: By test, in the order of the topics.
    """

    provider: str
    spi: str
    ims: str
    lab: str
    date: str
    features: tuple[str, ...]
    proofs: tuple[Proof, ...] = field(default=())

    def ordered(self) -> Report:
        """With the proofs in the order in which an author reads them."""
        key = {topic: index for index, topic in enumerate(TOPICS)}
        proofs = sorted(self.proofs, key=lambda each: (key[each.topic], each.sentence, each.test))
        return replace(self, proofs=tuple(proofs))

    def counts(self, topic: str = "") -> Counter[Outcome]:
        """How many tests had each outcome, of one topic or of all."""
        return Counter(each.outcome for each in self.proofs if topic in ("", each.topic))

    def reasons(self, outcome: Outcome) -> Counter[str]:
        """Why tests had that outcome, and how many."""
        return Counter(each.reason for each in self.proofs if each.outcome is outcome)

    def mistakes(self) -> Iterator[tuple[Proof, list[Proof]]]:
        """Each failure, with the others that failed at the same place.

        First comes the one that is about the method that failed, if there is one.
        """
        groups: dict[str, list[Proof]] = {}
        for proof in self.proofs:
            if proof.outcome is Outcome.FAILED:
                groups.setdefault(proof.where or proof.test, []).append(proof)
        for group in groups.values():
            first, *others = sorted(group, key=lambda each: not each.is_about_the_call)
            yield first, others


def to_json(reports: Iterable[Report]) -> str:
    """All of it, to be read by programs."""
    return json.dumps([asdict(each) for each in reports], indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> list[Report]:
    """What :func:`to_json` wrote."""
    return [_report(each) for each in json.loads(text)]


def _report(values: dict[str, Any]) -> Report:
    proofs = (
        Proof(
            **{
                **each,
                "outcome": Outcome(each["outcome"]),
                "features": tuple(each["features"]),
            }
        )
        for each in values["proofs"]
    )
    return Report(**{**values, "features": tuple(values["features"]), "proofs": tuple(proofs)})


def to_text(report: Report) -> str:
    """A table, and what is to be mended, for a terminal."""
    lines = [f"provider {report.provider}, SPI {report.spi}; {report.lab or 'no lab named'}", ""]
    lines += _table(report, "{:<14}{:>9}{:>12}{:>10}{:>8}".format)
    lines += ["", *_not_proved(report)]
    if mistakes := [*report.mistakes()]:
        lines += ["", "To mend, from the top: what comes first may be the cause of what follows."]
    for number, (proof, others) in enumerate(mistakes, 1):
        lines += ["", f"{number}. {proof.topic}: {proof.test}"]
        lines += [_indented(line) for line in _told(proof, others)]
    return "\n".join(lines) + "\n"


def to_markdown(reports: Iterable[Report]) -> str:
    """The same as tables of Markdown."""
    pages = []
    for report in reports:
        lines = [
            f"## {report.provider}",
            "",
            f"SPI {report.spi}, IMS {report.ims}, {report.date}; {report.lab or 'no lab named'}.",
            f"Declared: {', '.join(report.features) or 'nothing optional'}.",
            "",
        ]
        header, *rows = _table(report, lambda *cells: f"| {' | '.join(map(str, cells))} |")
        lines += [header, "|---|--:|--:|--:|--:|", *rows, "", *_not_proved(report)]
        for proof, others in report.mistakes():
            lines += ["", f"### {proof.topic}: `{proof.test}`", ""]
            lines += [f"- {line}" for line in _told(proof, others)]
        pages.append("\n".join(lines) + "\n")
    return "\n".join(pages)


def _table(report: Report, row: Any) -> list[str]:
    """Counts by topic, without the topics of which nothing was run."""
    lines = [row("topic", *Outcome)]
    for topic in TOPICS:
        counts = report.counts(topic)
        if counts.total():
            lines.append(row(topic, *(counts[each] or "-" for each in Outcome)))
    return [*lines, row("all", *(report.counts()[each] or "-" for each in Outcome))]


def _not_proved(report: Report) -> Iterator[str]:
    for outcome, words in (
        (Outcome.UNDECLARED, "Not declared, so not proved"),
        (Outcome.LEFT_OUT, "Left out by the target, so not proved"),
    ):
        reasons = report.reasons(outcome)
        if reasons:
            told = "; ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
            yield fill(f"{words}: {told}", _WIDTH)


def _told(proof: Proof, others: list[Proof]) -> Iterator[str]:
    yield f"proves: {proof.claim}"
    yield f"seen: {proof.reason}{f' ({proof.where})' if proof.where else ''}"
    if proof.mend:
        yield f"mend: {proof.mend}"
    yield f"contract: {proof.sentence}. {contract()[proof.sentence].text}"
    if others:
        yield f"the same place failed {len(others)} more: {', '.join(o.test for o in others)}"


def _indented(line: str) -> str:
    return fill(line, _WIDTH, initial_indent="   ", subsequent_indent="     ")
