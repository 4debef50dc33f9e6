"""guestfish itself reads back what was quoted for it; that takes no machine."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_guestfs.guestfish import Guestfish, GuestfishError, running
from ims_guestfs.script import LONGEST_PATH, line
from tests.conftest import unavailable
from tests.labs import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.text("\\\"'`$!|~#<>*{}\n\r\t \x01\x7f-x0", min_size=1),
    st.binary().map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")),
)


@pytest.fixture(scope="module")
def fish() -> Iterator[Guestfish]:
    if shutil.which("guestfish") is None:
        unavailable("guestfish", LabError("it is not installed (Debian: libguestfs-tools)"))
    with running(accelerated=False, timeout=600) as started:
        yield started


@given(words=st.lists(WORDS, min_size=1, max_size=3))
@settings(max_examples=300)
def test_every_argument_arrives_as_it_was(fish: Guestfish, words: list[str]) -> None:
    assert fish.ask("echo", *words) == " ".join(words)


@pytest.mark.parametrize("word", ["$(id)", "`id`", "|id", "x | id", "!id", "~root", "<!id", "# x"])
def test_no_argument_is_more_than_one(fish: Guestfish, word: str) -> None:
    assert fish.ask("echo", word, "x", word) == f"{word} x {word}"


def test_a_line_that_guestfish_would_cut_in_two_is_never_sent(fish: Guestfish) -> None:
    longest = "x" * (8191 - len('-echo ""\n'))
    assert fish.ask("echo", longest) == longest
    with pytest.raises(ValueError, match="too long"):
        fish.ask("echo", longest + "x")
    assert fish.ask("echo", "still there") == "still there"


def test_two_of_the_longest_paths_fit_into_a_line() -> None:
    worst = "\n" * (LONGEST_PATH + len("/.ims-new-9999"))
    assert line("-rename", worst, worst)


def test_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        line("echo", "a\0b")


def test_it_goes_on_after_a_command_that_failed(fish: Guestfish) -> None:
    with pytest.raises(GuestfishError, match=r"^nothing: unknown command$"):
        fish.ask("nothing")
    assert fish.ask("echo", "here") == "here"
