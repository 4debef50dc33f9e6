"""The documentation says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate import (
    CONTEXT,
    OVM,
    REFERENCE,
    VIRTUALBOX,
    context,
    ovm,
    reference,
    virtualbox,
)
from ims_core.config import load_config
from ims_core.registry import PLACEMENT, plugins

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_is_up_to_date() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_tables_of_layouts_and_carriers_are_up_to_date() -> None:
    assert CONTEXT.read_text(encoding="utf-8") == context(), "run `make docs`"
    for layout in ("bootparams", "nocloud"):
        assert f"\n| `{layout}` | " in context()


def test_the_table_of_the_oracle_vm_managers_names_is_up_to_date() -> None:
    assert OVM.read_text(encoding="utf-8") == ovm(), "run `make docs`"
    assert VIRTUALBOX.read_text(encoding="utf-8") == virtualbox(), "run `make docs`"
    assert "| `power_on` | `VirtualMachineService.powerOn(vm)` | assumed |" in ovm()


@pytest.mark.parametrize("page", [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))], ids=str)
def test_every_link_between_the_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_example_of_a_configuration_is_one(tmp_path: Path) -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    path = tmp_path / "ims.toml"
    path.write_text(text.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    config = load_config(path)
    assert (*config.pools, *config.networks, *config.groups) == ("lab", "attic", "office", "all")
    for plugin in plugins(PLACEMENT):
        assert f"| `{plugin.name}` |" in text
