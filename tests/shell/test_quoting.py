"""The command line that a login shell is given."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_shell.quoting import command_line

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = [("sh",), ("bash",), ("busybox", "sh"), ("tcsh",), ("csh",), ("fish",), ("zsh",)]
ECHO = 'for each in "$@"; do\n\tprintf \'%s\\037\' "$each" # it\'s\ndone\n'
WORDS = st.lists(st.text(st.characters(exclude_characters="\0\x1f", codec="utf-8"), max_size=30))


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@settings(max_examples=30, deadline=None)
@given(words=WORDS)
def test_every_shell_hands_all_words_on(shell: tuple[str, ...], words: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    done = subprocess.run(
        [*shell, "-c", command_line(ECHO, *words)], check=True, capture_output=True
    )
    assert done.stdout == "".join(f"{word}\x1f" for word in words).encode()


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_a_death_by_signal_is_a_status_whatever_sh_is(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "sh").symlink_to(program)
    done = subprocess.run(
        ["sh", "-c", command_line("kill -9 $$")],
        check=False,
        capture_output=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert done.returncode == 137


@given(words=WORDS)
def test_a_command_line_has_nothing_in_it_that_shells_read_differently(words: list[str]) -> None:
    line = command_line(ECHO, *words)
    assert line.isascii()
    assert line.isprintable()
    assert "!" not in line
    for start in (at for at, sign in enumerate(line) if sign == "\\"):
        assert line[start + 1] == "0"
        assert line[start + 2 : start + 5].isdigit()


def test_a_word_with_a_nul_cannot_be_handed_on() -> None:
    with pytest.raises(ValueError, match="NUL"):
        command_line("true", "a\0b")
