"""Running the tools that build a lab."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.labs import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# depmod and mkfs are in sbin, which is not on everybody's path.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def run(
    *command: str | Path, directory: Path | None = None, environment: dict[str, str] | None = None
) -> str:
    """Run a command to its end and return its output; raise with its messages if it fails."""
    words = [str(word) for word in command]
    try:
        result = subprocess.run(
            words,
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            # Some of what is read from the output is translated otherwise.
            env={**os.environ, "PATH": _PATH, "LC_ALL": "C", **(environment or {})},
        )
    except FileNotFoundError as error:
        raise LabError(f"{words[0]}: {error.strerror}") from error
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip()
        raise LabError(f"{' '.join(words)}: exit status {result.returncode}: {said}")
    return result.stdout


def progress(text: str) -> None:
    """Tell whoever watches a build what it is at; standard output is for the result."""
    sys.stderr.write(f"{text}\n")


def versions(packages: Sequence[str]) -> str:
    """Return the installed versions of these packages, as an input of a cache key."""
    return run("dpkg-query", "--show", *packages)
