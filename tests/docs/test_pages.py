"""The pages that are generated are up to date, and lead where they say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from docs.generate import PAGES
from docs.pages import DOCS
from ims_core.config import load_config
from ims_core.registry import PLACEMENT, plugins

if TYPE_CHECKING:
    from pathlib import Path

PROSE = [DOCS.parent / "README.md", DOCS.parent / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_generated_is_up_to_date(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == PAGES[page](), "run `make docs`"


def test_the_tables_hold_what_they_should() -> None:
    text = (DOCS / "context.md").read_text(encoding="utf-8")
    for layout in ("bootparams", "nocloud"):
        assert f"\n| `{layout}` | " in text
    ovm = (DOCS / "providers" / "ovm.md").read_text(encoding="utf-8")
    assert "| `power_on` | `VirtualMachineService.powerOn(vm)` | assumed |" in ovm


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_every_link_between_the_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]*)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_every_link_to_a_heading_finds_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]*)\)", text):
        there = (page.parent / target if target else page).read_text(encoding="utf-8")
        assert anchor in {slug(line) for line in re.findall(r"^#+ (.*)$", there, re.MULTILINE)}


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_the_example_of_a_configuration_is_one(tmp_path: Path) -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    path = tmp_path / "ims.toml"
    path.write_text(text.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    config = load_config(path)
    assert (*config.pools, *config.networks, *config.groups) == ("lab", "attic", "office", "all")
    for plugin in plugins(PLACEMENT):
        assert f"| `{plugin.name}` |" in text
