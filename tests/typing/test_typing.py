"""The public API, as the mypy of somebody else's project sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

USERS = sorted(Path(__file__).parent.glob("[!t]*.py"))


@pytest.mark.parametrize("program", USERS, ids=lambda path: path.stem)
def test_a_users_mypy_accepts_what_is_right_and_nothing_else(program: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\n")
    done = subprocess.run(
        [*command, "--config-file", str(config), str(program)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
