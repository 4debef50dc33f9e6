"""The ``ims`` command as tests of a lab run it, by the configuration in their environment."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ByCommand"]


class ByCommand:
    """What a lab's own class builds on."""

    SECONDS: ClassVar[float] = 1800.0
    """How long a command may take; above every ``--timeout`` that a test gives."""

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``ims`` as its own process."""
        return subprocess.run(
            [sys.executable, "-m", "ims_cli", *arguments],
            capture_output=True,
            text=True,
            timeout=self.SECONDS,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """What ``ims … --output json`` printed."""
        done = self.cli(*arguments, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def until(self, what: str, happened: Callable[[], object], seconds: float = 300.0) -> None:
        """Watch until something has happened."""
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, f"in vain: {what}"
            time.sleep(0.5)
