"""Which test of the suite catches each mutant: ``python -m tests.mutants.trial [NAME ...]``.

Each is tried in a process of its own, up to the first test that fails. What was found is kept in
``trials.json``, with those that escaped when they were first tried.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mutants import MUTANTS

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

    from tests.mutants.mutant import Mutant

RECORD = Path(__file__).with_name("trials.json")
AGAINST = Path(__file__).with_name("against.py")
SECONDS = 300.0
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one mutant.

    Attributes:
        name: The mutant's.
        sentence: That it breaks.
        mistake: For people.
        caught: The first test of the suite that failed; empty if it escaped.
        at_first: Whether it was caught when it was first tried.
    """

    name: str
    sentence: int
    mistake: str
    caught: str
    at_first: bool


class _First:
    """The first test that failed."""

    def __init__(self) -> None:
        self.test = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid.rpartition("::")[2]


def caught(mutant: Mutant, test: str = "") -> str:
    """The first test that catches it, or nothing; of all, or of one."""
    told: SimpleQueue[str] = _FORK.SimpleQueue()
    process = _FORK.Process(target=_try, args=(mutant.name, test, told))
    process.start()
    process.join(SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
    return "" if told.empty() else told.get()


def recorded() -> dict[str, Trial]:
    """What earlier runs found, by name."""
    return {each["name"]: Trial(**each) for each in json.loads(RECORD.read_text(encoding="utf-8"))}


def _try(name: str, test: str, told: SimpleQueue[str]) -> None:
    os.environ["IMS_MUTANT"] = name
    first = _First()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        options = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist")
        tests = f"{AGAINST}::{test}" if test else str(AGAINST)
        pytest.main([*options, tests], plugins=[first])
    told.put(first.test)


def _trial(mutant: Mutant, before: Trial | None) -> Trial:
    found = caught(mutant)
    at_first = before.at_first if before else bool(found)
    print(f"{mutant.name}: {found or 'ESCAPED'}", flush=True)
    return Trial(mutant.name, mutant.sentence, mutant.mistake, found, at_first)


def main(names: list[str]) -> None:
    """Try those that are named, or all, and write down what was found."""
    known = recorded()
    wanted = [each for each in MUTANTS if not names or each.name in names]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for trial in threads.map(lambda each: _trial(each, known.get(each.name)), wanted):
            known[trial.name] = trial
    trials = [asdict(known[each.name]) for each in MUTANTS if each.name in known]
    RECORD.write_text(json.dumps(trials, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
