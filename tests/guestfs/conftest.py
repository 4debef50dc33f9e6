"""The real libguestfs, or a program in its place that keeps what it was asked."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ims_guestfs import needs
from tests.conftest import unavailable
from tests.labs import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

PRETENDED = Path(__file__).with_name("pretended.py")


@pytest.fixture(scope="session")
def engine() -> None:
    """libguestfs itself."""
    if reason := needs.unavailable():
        unavailable("libguestfs", LabError(reason))


@dataclass(frozen=True, slots=True)
class Pretended:
    """A guestfish that answers what the test says."""

    folder: Path

    def answers(self, answers: Mapping[str, str]) -> None:
        """What it says by the beginnings of commands; the longest that fits counts."""
        (self.folder / "answers").write_text(json.dumps(answers))

    @property
    def asked(self) -> list[str]:
        return self.kept("asked")

    def kept(self, what: str) -> list[str]:
        return (self.folder / what).read_text().splitlines()


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "guestfish"
    program.write_text(f"#!{sys.executable}\n{PRETENDED.read_text()}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    modules = tmp_path / "modules" / "6.1"
    modules.mkdir(parents=True)
    (modules / "modules.dep").touch()
    (modules / "vmlinuz").touch()
    monkeypatch.setattr(needs, "_MODULES", modules.parent)
    guestfish = Pretended(folder)
    guestfish.answers({})
    return guestfish
