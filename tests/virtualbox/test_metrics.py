"""Counters, out of what programs print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtualbox.pretended import (
    UUIDS,
    Machine,
    PretendedHost,
    running,
)

if TYPE_CHECKING:
    from typing import Any


A, B = UUIDS[:2]


def measured(samples: str, times: str, *machines: Machine) -> dict[str, Any]:
    host = PretendedHost(*machines)
    host.samples, host.times = samples, times
    return {each.uuid: each for each in host.provider().metrics()}


def sampled(name: str, total: int, free: int) -> str:
    return (
        f"{name}  RAM/Usage/Used  1 kB\n{name}  Guest/RAM/Usage/Total  {total} kB\n"
        f"{name}  Guest/RAM/Usage/Free  {free} kB\n"
    )


TIMES = {"00:00:07": 7, "1-02:03:04": 93784, "12:34": 754, "00:00:07.25": 7.25}


@pytest.mark.parametrize("text", TIMES, ids=str)
def test_a_process_s_time_is_in_seconds_whatever_its_form(text: str) -> None:
    line = f"  {text} /usr/lib/VBoxHeadless --comment x --startvm {B} --startvm {A} --vrde config\n"
    found = measured("", line, running(), running(uuid=B, name="db"))
    assert (found[A].cpu_seconds, found[B].cpu_seconds) == (TIMES[text], None)


def test_memory_is_what_the_guest_says_it_uses_or_nothing() -> None:
    found = measured(sampled("web", 1000, 400), "", running())
    assert (found[A].memory_used_bytes, found[A].memory_max_bytes) == (600 << 10, 512 << 20)
    for total, free in ((0, 0), (400, 1000), (400, 0)):
        assert measured(sampled("web", total, free), "", running())[A].memory_used_bytes is None


@pytest.mark.parametrize("name", ["web", "x\nweb", "web  Guest/RAM/Usage/Total 99999"])
def test_numbers_that_may_be_another_machine_s_are_nobody_s(name: str) -> None:
    text = sampled(name, 1000, 400)
    found = measured(text, "", running(), running(uuid=B, name=name))
    assert found[A].memory_used_bytes is None


@pytest.mark.parametrize("state", ["poweroff", "gurumeditation", "starting"])
def test_what_does_not_run_has_no_counters(state: str) -> None:
    assert measured("", "", Machine(), running(state, uuid=B, name="db")) == {}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_text_of_programs_raises(text: str) -> None:
    assert set(measured(text, text, running())) == {A}
