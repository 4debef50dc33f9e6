"""What the conformance suite may ask of a fake pool that its settings cannot be told later."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch
from uuid import uuid4

from ims_core.errors import BusyError, HypervisorError
from ims_core.models import State
from ims_fake.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ims_fake import FakeProvider

__all__ = ["WORDS", "busy_once", "copied", "deafened", "failing", "put_state"]

WORDS = {
    State.STOPPED: "off",
    State.PAUSED: "paused",
    State.CRASHED: "crashed",
    State.UNKNOWN: "of a later version",
}
"""States that somebody else brings a VM into, as its description has them."""

_FIRST = {"create": "create.volume", "clone": "clone.volume", "start": "start.seed"}
_LAST = {"create": "create.domain", "clone": "create.domain"}
"""Steps of methods of which they have not the names."""


def put_state(pool: Path, word: str, uuid: str) -> None:
    """Change a VM's state as somebody else would."""
    path = pool / "domains" / f"{uuid}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"state": word}))


def copied(pool: Path, uuid: str) -> Callable[[], object]:
    """Copy a VM's description to another VM, as somebody else would; returns what removes it."""
    description = json.loads((pool / "domains" / f"{uuid}.json").read_text())
    path = pool / "domains" / f"{uuid4()}.json"
    path.write_text(json.dumps(description | {"name": f"copy-of-{description['name']}"}))
    return path.unlink


@contextmanager
def deafened(provider: FakeProvider) -> Iterator[None]:
    """Pretended guests ignore that they are asked to stop."""
    with patch.object(provider._vms.guests, "_obedient", new=False):
        yield


@contextmanager
def failing(method: str, late: bool) -> Iterator[None]:
    """The first step of that method fails, or the last."""

    def fail() -> None:
        raise HypervisorError("this is a test", code="fault-injected")

    with _before(_step(method, _LAST if late else _FIRST), fail):
        yield


@contextmanager
def busy_once(method: str) -> Iterator[None]:
    """Its first step is busy the first time."""
    met: list[str] = []

    def refuse() -> None:
        if not met:
            met.append(method)
            raise BusyError("this is a test")

    with _before(_step(method, _FIRST), refuse):
        yield


def _step(method: str, others: Mapping[str, str]) -> str:
    return others.get(method, method.replace("_", "-"))


@contextmanager
def _before(step: str, happens: Callable[[], None]) -> Iterator[None]:
    take = Pace.step

    def taken(self: Pace, name: str) -> None:
        if name == step:
            happens()
        take(self, name)

    with patch.object(Pace, "step", taken):
        yield
