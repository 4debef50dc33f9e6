"""What the author of a poor provider is told: what to mend, in words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from typing import Any

HERE = Path(__file__).parent
SECONDS = 300
PLUGIN = "ims_core.testing.plugin"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of somebody else's, after a run of the suite."""
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copy(HERE / "poor.py", folder)
    shutil.copy(HERE / "conftest.py.txt", folder / "conftest.py")
    folder.joinpath("test_poor.py").write_text("from ims_core.testing.suite import *\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header"]
    with folder.joinpath("out.txt").open("w") as out:
        done = subprocess.run(
            [*command, "--ims-report", "report.json", "--ims-report", "report.md"],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 1, folder.joinpath("out.txt").read_text()
    return folder


@pytest.fixture(scope="module")
def failures(project: Path) -> dict[str, dict[str, Any]]:
    """Each test that failed, by its name."""
    (report,) = json.loads(project.joinpath("report.json").read_text())
    assert (report["provider"], report["lab"]) == ("poor", "nothing at all")
    return {each["test"]: each for each in report["proofs"] if each["outcome"] == "failed"}


@pytest.mark.parametrize(
    ("test", "seen", "mend"),
    [
        (
            "test_plan_makes_nothing",
            "`plan` raised NotImplementedError",
            "write `plan`: every provider needs it",
        ),
        ("test_create_leaves_the_vm_defined_with_its_mark[False]", "defined", "`create`"),
        (
            "test_everything_is_announced_before_it_is_made",
            "made before it was announced",
            "announce",
        ),
        ("test_delete_is_idempotent", "`delete` raised KeyError", "ims_core.errors"),
        ("test_discard_is_idempotent", "says removed", "ABSENT"),
        ("test_a_namesake_is_refused_and_untouched", "ConflictError was not raised", "vm-exists"),
        ("test_unknown_vms_are_left_out", "", "inspect"),
        ("test_numbers_are_none_or_plausible", "not seconds since 1970", "seconds"),
        ("test_stop_takes_the_power_away", "0 VMs, not with 1", "`stop`"),
        ("test_each_setting_is_described", "url", "description"),
        ("test_settings_refuse_what_they_do_not_know", "", 'extra="forbid"'),
        ("test_a_feature_is_there_exactly_when_its_protocol_is[suspend]", "half", "every method"),
    ],
)
def test_a_mistake_is_told_with_what_was_seen_and_what_to_mend(
    failures: dict[str, dict[str, Any]], test: str, seen: str, mend: str
) -> None:
    assert test in failures, sorted(failures)
    assert seen in failures[test]["reason"]
    assert mend in failures[test]["mend"]


def test_every_failure_says_something_of_use(failures: dict[str, dict[str, Any]]) -> None:
    for failure in failures.values():
        assert len(failure["mend"]) > 20, failure
        assert failure["reason"], failure
        assert "AssertionError" not in failure["reason"], failure
        assert "assert " not in failure["reason"], failure


def test_the_report_is_read_from_the_top(project: Path) -> None:
    out = project.joinpath("out.txt").read_text()
    told = out[out.index("IMS conformance") :]
    assert "To mend, from the top" in told
    assert told.index("1. facts") < told.index("lifecycle:")
    assert "contract: 6. Before anything is made, it is announced" in told
    markdown = project.joinpath("report.md").read_text()
    assert markdown.startswith("## poor\n")
    assert "### lifecycle: `" in markdown
    assert str(project) not in markdown
