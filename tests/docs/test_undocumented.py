"""Nothing that a user can name is without documentation."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING

import click
import griffe
import pytest

import ims_core
from docs.pages import DOCS, ROOT
from docs.pages.codes import codes
from ims_cli.group import VERBS
from ims_cli.group import ims as cli
from ims_core.models import Features
from ims_core.registry import PROVIDERS, plugins
from ims_core.spi import OPTIONAL
from ims_core.testing import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLIC = [name for name in ims_core.__all__ if name != "__version__"]
REFERENCE = (DOCS / "reference.md").read_text(encoding="utf-8")
SPI = (DOCS / "spi.md").read_text(encoding="utf-8")
API = (DOCS / "api.md").read_text(encoding="utf-8")


def attributes(cls: type) -> set[str]:
    """What the docstring of a class describes, and those of its bases."""
    found: set[str] = set()
    for each in cls.__mro__:
        if not each.__doc__ or not each.__module__.startswith("ims_core"):
            continue
        for section in griffe.parse_google(griffe.Docstring(inspect.cleandoc(each.__doc__))):
            if section.kind is griffe.DocstringSectionKind.attributes:
                found |= {attribute.name for attribute in section.value}
    return found


def methods(cls: type) -> Iterator[tuple[str, object]]:
    for name, member in vars(cls).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, property)):
            yield name, member


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_described_and_on_a_page(name: str) -> None:
    found = getattr(ims_core, name)
    assert inspect.cleandoc(vars(found).get("__doc__") or ""), f"{name} has no docstring"
    assert f"## {name}\n" in API or f"## {name}\n" in SPI, f"{name} is on no page"
    if not issubclass(found, Enum):
        for method, member in methods(found):
            assert getattr(member, "__doc__", ""), f"{name}.{method} has no docstring"


@pytest.mark.parametrize("name", [each for each in PUBLIC if is_dataclass(getattr(ims_core, each))])
def test_every_field_of_what_is_handed_over_is_described(name: str) -> None:
    found = getattr(ims_core, name)
    described = attributes(found)
    missing = [field.name for field in fields(found) if field.name not in described]
    assert not missing, f"{name}: not under Attributes: {missing}"


def test_every_feature_flag_is_described() -> None:
    assert {field.name for field in fields(Features)} <= attributes(Features)
    for word in OPTIONAL:
        assert f"| `{word}` |" in SPI


def test_every_field_of_a_target_is_described() -> None:
    assert {field.name for field in fields(Target)} == attributes(Target)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_each_of_its_options_is_described(verb: str) -> None:
    context = click.Context(cli, info_name="ims")
    command = cli.get_command(context, verb)
    assert command is not None
    assert command.help
    assert f"\n### ims {verb}" in REFERENCE
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, f"{verb} {option.opts[0]} has no help"
            assert f"| `{', '.join(option.opts)}` | {option.help} |" in REFERENCE


def test_every_setting_is_described() -> None:
    for plugin in plugins(PROVIDERS):
        if plugin.distribution == "ims":
            for name, field in plugin.loaded.settings().model_fields.items():
                assert field.description, f"{plugin.name}: {name}"
                assert f"| `{name}` | " in REFERENCE


def test_every_package_says_that_it_is_typed() -> None:
    tops = [ROOT / "ims_core", *(ROOT / "cli").iterdir(), *(ROOT / "bootparams").iterdir()]
    for folder in (*tops, *(ROOT / "providers").iterdir()):
        if (folder / "__init__.py").exists():
            assert (folder / "py.typed").exists(), folder


def test_every_code_that_a_test_has_seen_is_documented() -> None:
    """The table is read from the source; here is what really came out of it."""
    documented = {each.code for each in codes()}
    patterns = [re.compile(re.escape(code).replace("…", "[a-z0-9-]+")) for code in documented]
    seen = {
        code
        for path in (ROOT / "tests").rglob("*.py")
        for code in re.findall(r'\bcode (?:==|is) "([a-z0-9-]+)"', path.read_text(encoding="utf-8"))
    }
    assert len(seen) > 50
    unknown = {code for code in seen if not any(each.fullmatch(code) for each in patterns)}
    assert not unknown, f"not in docs/reference.md: {sorted(unknown)}"
