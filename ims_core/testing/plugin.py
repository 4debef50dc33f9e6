"""The pytest plugin: it gathers what the suite's tests have shown, and reports it.

It is loaded by every run of pytest where IMS is installed, so it imports nothing of IMS until a
test of the suite has run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

__all__: list[str] = []

_SUITE = "ims_core.testing."
_PROPERTY = "ims-proof"
_OPTION = "--ims-report"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--ims-report FILE``, as often as wanted."""
    parser.getgroup("ims", "IMS conformance").addoption(
        _OPTION,
        action="append",
        default=[],
        metavar="FILE",
        type=Path,
        help="write what the conformance suite has shown to FILE, *.json or *.md",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a report that could not be written, before hours of tests."""
    for path in config.getoption(_OPTION):
        if path.suffix not in (".json", ".md"):
            raise pytest.UsageError(f"{_OPTION} {path}: the file's name ends with .json or .md")
        if not path.absolute().parent.is_dir():
            raise pytest.UsageError(f"{_OPTION} {path}: there is no such folder")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, None]:
    """Note what a test of the suite has shown, where a process of xdist passes it on."""
    outcome = yield
    test = getattr(item, "function", None)
    if not getattr(test, "__module__", "").startswith(_SUITE):
        return
    from ims_core.testing.gathering import noted  # noqa: PLC0415 - see the module

    if note := noted(item, call, outcome.get_result()):
        item.user_properties.append((_PROPERTY, note))
        outcome.get_result().user_properties = list(item.user_properties)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table of each target, and write the files that were asked for."""
    notes: dict[str, list[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, note in getattr(report, "user_properties", ()):
                if name == _PROPERTY:
                    notes.setdefault(report.nodeid, []).append(note)
    if not notes:
        return
    from ims_core.testing.gathering import gathered  # noqa: PLC0415 - see the module
    from ims_core.testing.report import to_json, to_markdown, to_text  # noqa: PLC0415

    found = gathered(notes)
    for each in found:
        terminalreporter.section("IMS conformance")
        terminalreporter.write(to_text(each))
    for path in config.getoption(_OPTION):
        path.write_text(
            (to_json if path.suffix == ".json" else to_markdown)(found), encoding="utf-8"
        )
        terminalreporter.write_line(f"IMS conformance: written to {path}")
