from __future__ import annotations

import io
import sys

import pytest

from ims_cli.addresses import by_source
from ims_cli.output import wanted_output
from ims_cli.progress import Reporter
from ims_cli.signals import Cancellation, SignalError
from ims_cli.table import columns, fields
from ims_cli.text import clip, harmless, width
from ims_core.models import Address
from ims_core.service.events import Event, Phase


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_are_aligned_whatever_the_script() -> None:
    lines = list(columns(("NAME", "STATE"), [("東京", "on"), ("ab\u0301c", None), ("web", True)]))
    assert lines == ["NAME  STATE", "東京  on", "ab\u0301c   -", "web   yes"]
    assert {width(line[: line.rindex("  ") + 2]) for line in lines} == {6}


def test_a_table_of_nothing_is_its_heading() -> None:
    assert list(columns(("NAME", "STATE"), [])) == ["NAME  STATE"]
    assert list(columns(("", ""), [])) == []


def test_fields_put_further_values_below() -> None:
    assert list(fields([("name", "a"), ("addresses", ["x", "y"]), ("none", [])])) == [
        "name       a",
        "addresses  x",
        "           y",
        "none       -",
    ]


def test_harmless_escapes_what_is_not_printable() -> None:
    assert harmless("grün 東京") == "grün 東京"
    assert harmless("a\x1b[2J\x9b1m\n\u202e\udcff") == "a\\x1b[2J\\x9b1m\\n\\u202e\\udcff"


def test_clip() -> None:
    assert clip("abcdef", 6) == "abcdef"
    assert clip("abcdef", 4) == "abc…"
    assert width(clip("東京都庁", 5)) <= 5


def test_sources_that_agree_share_a_line() -> None:
    found = [
        Address("192.0.2.2", "m", "arp"),
        Address("192.0.2.2/24", "m", "lease"),
        Address("192.0.2.2/24", "m", "lease"),
        Address("2001:db8::1/64", "m", "agent"),
    ]
    assert by_source(found) == [("192.0.2.2/24", "arp, lease"), ("2001:db8::1/64", "agent")]


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["list-vms"], "table"),
        (["list-vms", "--output", "json"], "json"),
        (["list-vms", "--output=yaml", "--bogus"], "yaml"),
        (["list-vms", "--output"], "table"),
        (["list-vms", "--output", "xml"], "table"),
        (["show-vm", "--", "--output", "json"], "table"),
    ],
)
def test_the_wanted_output_is_known_of_a_wrong_line_too(arguments: list[str], output: str) -> None:
    assert wanted_output(arguments) == output


def events_of_an_upload() -> list[Event]:
    steps = [Event(Phase.UPLOAD, "tiny", percent) for percent in (0.0, 0.4, 50.0, 100.0)]
    return [*steps, Event(Phase.UPLOAD, "no digest", warning=True), Event(Phase.DONE, "done")]


def reported(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, *, quiet: bool = False) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "80")
    reporter = Reporter(quiet=quiet, cancellation=Cancellation())
    for event in events_of_an_upload():
        reporter(event)
    reporter.finish()
    return stream.getvalue()


def test_progress_in_a_log_is_one_line_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reported(io.StringIO(), monkeypatch) == "upload: tiny\nwarning: no digest\n"


def test_progress_on_a_terminal_is_redrawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reported(Terminal(), monkeypatch) == (
        "\r\x1b[Kupload: tiny   0%\r\x1b[Kupload: tiny  50%\r\x1b[Kupload: tiny 100%\n"
        "warning: no digest\n"
    )


def test_quiet_keeps_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reported(io.StringIO(), monkeypatch, quiet=True) == "warning: no digest\n"


def test_progress_that_nobody_can_read_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    assert reported(Gone(), monkeypatch) == ""


def test_a_cancellation_that_was_swallowed_is_raised_at_the_next_step() -> None:
    cancellation = Cancellation()
    reporter = Reporter(quiet=True, cancellation=cancellation)
    with pytest.raises(SignalError):
        cancellation._received(15, None)
    with pytest.raises(SignalError) as caught:
        reporter(Event(Phase.WAIT, "waiting"))
    assert caught.value.status == 143
    reporter(Event(Phase.DONE, "too late to undo"))
    reporter(Event(Phase.ROLL_BACK, "obeyed"))
    reporter(Event(Phase.WAIT, "nothing is raised any more"))
