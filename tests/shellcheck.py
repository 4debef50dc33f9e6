"""What shellcheck finds in a script for a POSIX shell."""

from __future__ import annotations

import shutil
import subprocess

import pytest

__all__ = ["shellcheck"]


def shellcheck(script: str, exclude: str) -> str:
    """Its warnings and errors, but for those codes; skips where it is not installed."""
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    answer = subprocess.run(
        ["shellcheck", "--shell=sh", "--severity=warning", f"--exclude={exclude}", "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout
