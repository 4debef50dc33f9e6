from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import click
import pytest

from ims_cli import plain
from ims_cli.group import VERBS, ims
from ims_cli.options import EVIDENCE, WAITS
from ims_core import __version__
from ims_core.models import Metrics, Wait
from tests.cli.helpers import Cli, environment

HEAVY = ("stevedore", "pydantic", "importlib.metadata", "sqlite3", "yaml", "json", "libvirt")


def command_of(verb: str) -> click.Command:
    found = ims.get_command(click.Context(ims), verb)
    assert found is not None
    return found


def modules_after(*arguments: str) -> set[str]:
    """What a process has imported when it has run this command line."""
    code = (
        "import sys; from ims_cli.main import main; status = main(sys.argv[1:]);"
        "print(*sys.modules, sep='\\n', file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("verb", VERBS)
def test_the_table_of_verbs_says_what_each_verb_says_of_itself(verb: str) -> None:
    command = command_of(verb)
    assert command.name == verb
    assert (command.help or "").splitlines()[0] == VERBS[verb].help


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_a_help_or_speaks_for_itself(verb: str) -> None:
    for parameter in command_of(verb).params:
        if isinstance(parameter, click.Option):
            assert parameter.help or parameter.name in ("vcpus", "lines"), parameter.name


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_the_common_options(verb: str) -> None:
    words = {word for parameter in command_of(verb).params for word in parameter.opts}
    expected = {"--provider", "--pool", "--output", "--quiet"}
    if VERBS[verb].module in ("providers", "pools"):
        expected = {"--output"}
    if verb in ("list-operations", "show-operation"):  # they are in the store, not in a pool
        expected = {"--output", "--quiet"}
    assert expected <= words


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_click_and_no_verb(option: str) -> None:
    modules = modules_after(option)
    assert not modules.intersection(HEAVY)
    assert not {name for name in modules if name.startswith("ims_cli.commands")}
    assert {name for name in modules if name.startswith("ims_core")} == {
        "ims_core",
        "ims_core.errors",
    }


def test_a_verbs_own_help_does_not_load_the_service() -> None:
    assert not modules_after("create-vm", "--help").intersection((*HEAVY, "ims_core.service"))


def test_a_table_of_vms_needs_neither_pydantic_nor_yaml_nor_pycdlib(cli: Cli) -> None:
    cli.ok("list-vms")
    assert not modules_after("list-vms").intersection(("pydantic", "yaml", "rich", "pycdlib"))


def test_version_and_help(empty: Cli) -> None:
    assert empty.ok("--version").out == f"ims {__version__}\n"
    shown = empty.ok("--help").out
    assert empty.ok().out == shown
    assert all(verb in shown for verb in VERBS)
    assert "_IMS_COMPLETE" in shown


def test_an_unknown_verb_names_its_neighbours(empty: Cli) -> None:
    result = empty("lst-vms")
    assert result.status == 2
    assert "did you mean list-vms" in result.err


def test_bash_completes_verbs(empty: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_IMS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "ims list-")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert empty().out.split() == [f"plain,{verb}" for verb in VERBS if verb.startswith("list-")]


def test_words_that_are_written_twice_agree_with_the_models() -> None:
    assert tuple(Wait) == WAITS
    assert set(EVIDENCE) < set(WAITS)
    empty = Metrics("web01", "uuid", 1.0)
    assert list(plain.metrics_data(empty)) == [field.name for field in fields(Metrics)]
