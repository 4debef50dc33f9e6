"""The scripts for a VirtualBox host, as texts."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from ims_virtualbox.scripts import script
from tests.shellcheck import shellcheck

CALLED = re.compile(r'(?:host|self|shell|\))\.(?:call|ask|send)\(\s*"([a-z_]+)"')


def package(name: str) -> Path:
    return Path(str(files(name)))


def called() -> set[str]:
    """Every script that the provider's code names, and what it uses of that of all providers."""
    sources = [*package("ims_virtualbox").rglob("*.py"), package("ims_shell") / "templates.py"]
    return {name for path in sources for name in CALLED.findall(path.read_text())}


def test_every_script_is_called_and_every_call_has_its_script() -> None:
    own = {path.stem for path in package("ims_virtualbox.scripts").glob("*.sh")} - {"prelude"}
    assert own <= called()
    shared = {path.stem for path in package("ims_shell.scripts").glob("*.sh")}
    assert called() <= own | shared


@pytest.mark.parametrize("name", sorted(called()))
def test_a_script_is_clean_to_shellcheck(name: str) -> None:
    # SC2034: parts of the prelude that this script does not use; SC2154: in a trap.
    assert shellcheck(script(name), "SC2034,SC2154") == ""


def test_no_script_uses_more_than_posix_and_what_check_looks_for() -> None:
    for name in sorted(called()):
        for young in ("[[ ", "function ", "local ", "$'", "<(", "python"):
            assert young not in script(name), f"{name}: {young}"
