"""What several of these tests do: write a tree, run a tool."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_files(directory: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def run(*command: str | Path, stdin: bytes = b"", allowed: int = 0) -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode in (0, allowed), (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout
