"""Kills ``ims`` at a round trip to the host, and ends what it left.

Three moments: before a script is asked for; while it is at work, with its lock held, on a host that
nobody listens to any more, until the recovery waits for it or has ended; and after its work was
done, but before its answer was read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from ims_core import Ims

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.virtualbox.conftest import Lab

__all__ = ["MOMENTS", "Verb", "killed_at", "recovered", "round_trips"]

MOMENTS = ("before", "at-work", "unanswered")

_SECONDS = 120.0
_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Verb:
    """A verb that changes something on the host.

    Attributes:
        arguments: Of the command line.
        begin: Makes what it needs, each time.
        end: Looks that what is there is whole, and takes it away.
    """

    arguments: tuple[str, ...]
    begin: Callable[[Lab], object]
    end: Callable[[Lab], None]


def round_trips(verb: Verb, folder: Path) -> int:
    """How many it takes when nothing happens to it."""
    counted = folder / "round-trips"
    victim = _victim(0, "", str(counted), verb)
    told = victim.communicate(timeout=_SECONDS)[1]
    assert victim.returncode == 0, told
    return counted.stat().st_size


def killed_at(lab: Lab, verb: Verb, point: int, moment: str) -> str:
    """Have it killed; returns what then has to be released on the host by :func:`recovered`."""
    flag = f"/tmp/ims-held-{uuid4().hex}"
    victim = _victim(point, moment, flag, verb)
    if moment == "at-work":
        _until(lambda: victim.poll() is not None or _is_there(lab, flag))
        victim.kill()
    told = victim.communicate(timeout=_SECONDS)[1]
    assert victim.returncode == -9, f"it ended by itself, with {victim.returncode}: {told}"
    return flag


def recovered(lab: Lab, flag: str) -> None:
    """Have another process end what was left, while a script is held by that flag."""
    failures: list[BaseException] = []

    def recover() -> None:
        try:
            with Ims() as ims:
                ims.recover()
                assert ims.list_operations(unfinished=True) == []
        except BaseException as error:  # noqa: BLE001 - it is raised where the test sees it
            failures.append(error)

    thread = threading.Thread(target=recover)
    thread.start()
    _until(lambda: not thread.is_alive() or lab.host.run("pgrep -x flock || :"))
    lab.host.run(f": >{flag}.on")
    thread.join()
    lab.host.run(f"rm -f {flag}")  # but not the other: what is held may be slow to look for it
    if failures:
        raise failures[0]


def _victim(point: int, moment: str, flag: str, verb: Verb) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.virtualbox.victim"),
            *(str(point), moment, flag, *verb.arguments, "--quiet"),
        ],
        cwd=_REPOSITORY,
        env={**os.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _is_there(lab: Lab, flag: str) -> bool:
    return bool(lab.host.run(f"ls {flag} 2>/dev/null || :"))


def _until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + _SECONDS
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)
