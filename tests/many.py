"""Many VMs made by several processes at once; for the tests of each provider."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

PROCESSES, EACH = 8, 25
ADDRESSES = 180


@dataclass(frozen=True)
class Outcome:
    """What became of them: the VMs that were made, and how often each error came."""

    made: list[dict[str, Any]]
    errors: Counter[str]


def create_many(*options: str, timeout: float) -> Outcome:
    """Run ``ims create-vm --count`` in all those processes; ``options`` are for each."""
    command = [sys.executable, "-m", "ims_cli", "create-vm", "--count", str(EACH)]
    tail = ["--wait", "defined", "--output", "json", "--quiet", *options]
    running = [
        subprocess.Popen(
            [*command, f"many{index}", *tail],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for index in range(PROCESSES)
    ]
    return _sorted([json.loads(each.communicate(timeout=timeout)[0]) for each in running])


def _sorted(answers: Sequence[list[dict[str, Any]]]) -> Outcome:
    results = [each for answer in answers for each in answer]
    errors = Counter(each["error"]["code"] for each in results if "error" in each)
    return Outcome([each for each in results if "error" not in each], errors)
