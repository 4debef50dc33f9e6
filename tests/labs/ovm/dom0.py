"""Running scripts in a dom0, wherever that is."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.labs import LabError

__all__ = ["Dom0"]


@dataclass(frozen=True, slots=True)
class Dom0:
    """A dom0.

    Attributes:
        words: The command that runs the script which is its last argument: OpenSSH's for a real
            one (``Machine.ssh``), ``env PATH=… sh -c`` for a pretended one on this machine.
    """

    words: tuple[str, ...]

    def run(self, script: str, source: Path = Path(os.devnull)) -> str:
        """What a script prints; ``source`` is its standard input.

        Raises:
            LabError: It failed.
        """
        with source.open("rb") as stdin:
            done = subprocess.run(
                [*self.words, script], stdin=stdin, capture_output=True, check=False
            )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise LabError(f"dom0: exit status {done.returncode}: {said}")
        return done.stdout.decode(errors="replace")
