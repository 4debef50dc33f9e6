"""From a test's end to its proof, and from proofs to a report of each target."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ims_core import __version__
from ims_core.errors import ImsError
from ims_core.spi import OPTIONAL, Provider
from ims_core.testing import bench
from ims_core.testing.contract import mends, proves
from ims_core.testing.needs import LEFT_OUT, UNDECLARED, asked
from ims_core.testing.report import Outcome, Proof, Report, from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from ims_core.testing.target import Target

__all__ = ["gathered", "noted"]

_KIT = Path(__file__).parent
_LONGEST = 400
_WEIGHT = {outcome: weight for weight, outcome in enumerate(Outcome)}


class _Failure(NamedTuple):
    """The last fields of a proof that failed, or was not made."""

    reason: str = ""
    mend: str = ""
    where: str = ""


def noted(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> str:
    """What one phase of a test of the suite has shown, as JSON; empty if nothing.

    A test may be proved when it is called and yet fail when it is cleaned up after.
    """
    test = item.function  # type: ignore[attr-defined]
    said = proves(test)
    if said is None or (report.passed and report.when != "call"):
        return ""
    outcome, failure = Outcome.PROVED, _Failure()
    if report.skipped and not hasattr(report, "wasxfail"):
        outcome, failure = _skipped(call)
    elif not report.passed:
        outcome, failure = Outcome.FAILED, _failure(call, said.mend, item.config.rootpath)
    topic = test.__module__.rpartition(".")[2]
    proof = Proof(
        *(item.name, topic, said.sentence, said.claim, outcome, *failure), features=asked()
    )
    about = _about(getattr(item, "funcargs", {}).get("ims_target"))
    return json.dumps([str(item.path), to_json([replace(about, proofs=(proof,))])])


def gathered(notes: Mapping[str, list[str]]) -> list[Report]:
    """A report for each target, by the file of its tests.

    Args:
        notes: By node id, what :func:`noted` made of each phase.
    """
    targets: dict[str, list[Report]] = {}
    for each in notes.values():
        read = [json.loads(note) for note in each]
        phases = [from_json(text)[0] for _, text in read]
        targets.setdefault(read[0][0], []).append(
            max(phases, key=lambda phase: _WEIGHT[phase.proofs[0].outcome])
        )
    found = []
    for _, reports in sorted(targets.items()):
        about = next((each for each in reports if each.provider), reports[0])
        proofs = tuple(proof for each in reports for proof in each.proofs)
        found.append(replace(about, proofs=proofs).ordered())
    return found


def _about(target: Target | None) -> Report:
    today = datetime.now(UTC).date().isoformat()
    if target is None:
        return Report("", "", __version__, "its fixture ims_target failed", today, ())
    provider = target.provider
    features = {word for word, protocol in OPTIONAL.items() if isinstance(provider, protocol)}
    features |= {f"carrier {carrier}" for carrier in provider.features.carriers}
    spi = getattr(provider, "spi", "not named")
    return Report(provider.name, spi, __version__, target.lab, today, tuple(sorted(features)))


def _skipped(call: pytest.CallInfo[None]) -> tuple[Outcome, _Failure]:
    reason = str(call.excinfo.value) if call.excinfo else "skipped by a mark"
    if reason.startswith(UNDECLARED):
        return Outcome.UNDECLARED, _Failure(reason.removeprefix(UNDECLARED))
    return Outcome.LEFT_OUT, _Failure(reason.removeprefix(LEFT_OUT))


def _failure(call: pytest.CallInfo[None], mend: str, root: Path) -> _Failure:
    """What was seen, where, and what to do about it."""
    if call.excinfo is None:
        return _Failure("it was expected to fail", mend)
    error = call.excinfo.value
    frames = [entry for entry in call.excinfo.traceback if not _is_pytests(Path(entry.path))]
    where = f"{_shown(frames[-1].path, root)}:{frames[-1].lineno + 1}" if frames else ""
    kit = [_KIT in Path(entry.path).parents for entry in frames]
    told = str(error).strip() or type(error).__name__
    if isinstance(error, AssertionError):
        reason = told.partition("\nassert ")[0]  # what pytest adds to a message tells no more
        if helper := _helpers(frames[-1].name if frames else ""):
            own = f" If that is so: {mend}" if call.when == "call" else ""
            mend = helper + own
    elif expected := re.match(r"DID NOT RAISE (.*)", told):
        reason = f"{' or '.join(re.findall(r'[A-Z][a-z]+Error', expected[1]))} was not raised"
    elif True in kit and not kit[-1]:
        called = frames[len(kit) - kit[::-1].index(True)].name
        reason = f"`{called}` raised {type(error).__name__}: {told}"
        mend = _advice(called, error, mend)
    else:
        reason = f"{type(error).__name__}: {told}"
    return _Failure(_shortened(reason), mend, where)


def _shown(path: str | Path, root: Path) -> Path:
    """A path as it is of use to others: from the project's folder, or from that of the packages."""
    found = Path(path)
    if found.is_relative_to(root):
        return found.relative_to(root)
    return found.relative_to(_KIT.parents[1]) if found.is_relative_to(_KIT.parents[1]) else found


def _is_pytests(path: Path) -> bool:
    return any(part in ("_pytest", "pluggy", "site-packages") for part in path.parts)


def _helpers(name: str) -> str:
    """What the workbench's own function says about how to mend what it found."""
    function = getattr(bench, name, None) or getattr(bench.Bench, name, None)
    return mends(function.__doc__ or "") if function else ""


def _advice(called: str, error: BaseException, mend: str) -> str:
    if isinstance(error, NotImplementedError) and called in Provider.__abstractmethods__:
        return f"write `{called}`: every provider needs it. {mend}"
    if isinstance(error, NotImplementedError):
        return (
            "leave out what the provider cannot do, and its whole protocol with it: a feature is"
            " there exactly when its protocol is"
        )
    if not isinstance(error, ImsError):
        return (
            "catch what the hypervisor's library raises, and raise one of ims_core.errors where it"
            f" is an error: nobody can act on a {type(error).__name__}. Then: {mend}"
        )
    return mend


def _shortened(text: str) -> str:
    """The first lines of a message, on one."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
