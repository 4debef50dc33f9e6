"""What the pages show can be typed as it stands."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest

from docs.pages import DOCS, ROOT
from ims_cli.group import ims as cli
from tests.fake.conftest import connect, pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core import Ims

__all__ = ["connect", "pool"]

GENERATED = {"spi.md", "api.md", "reference.md"}
PAGES = [
    page for page in (ROOT / "README.md", *sorted(DOCS.rglob("*.md"))) if page.name not in GENERATED
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
DIGEST = "0" * 64


def blocks(language: str) -> list[tuple[str, str]]:
    """Every block of a language, with the name of its page."""
    return [
        (page.name, text)
        for page in PAGES
        for word, text in BLOCK.findall(page.read_text(encoding="utf-8"))
        if word == language
    ]


def commands() -> list[list[str]]:
    """Every ``ims`` command line of the blocks that show a terminal."""
    found = []
    for _, text in blocks("console"):
        lines = re.sub(r"\\\n(?:> )?", " ", text).splitlines()
        typed = (line.removeprefix("$ ") for line in lines if line.startswith("$ "))
        for line in typed:
            words = shlex.split(line.replace("…", DIGEST), comments=True)
            if words and words[0] == "ims":
                found.append(words[1:])
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_that_is_shown_is_one(words: list[str]) -> None:
    context = click.Context(cli, info_name="ims")
    command = cli.get_command(context, words[0])
    assert command is not None, f"there is no verb {words[0]}"
    command.make_context(words[0], words[1:], parent=context)


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_every_program_that_is_shown_runs(
    page: str, code: str, connect: Callable[..., Ims], tmp_path: Path
) -> None:
    connect()  # writes an ims.toml with a pool of fake VMs
    exec(compile(code, page, "exec"), {"__name__": "__main__"})  # noqa: S102 - our own pages
