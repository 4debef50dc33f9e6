"""What several mutants need. All that leans on the fake's insides is here."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ims_core.errors import ConflictError
from ims_core.models import Mark, State
from ims_core.spi import NOTHING_KNOWN
from ims_fake import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from ims_core.models import VM, Delivery, Metrics
    from ims_core.spi import UndoLog

    P = TypeVar("P", bound=type[FakeProvider])

__all__ = [
    "CHANGING",
    "OFF",
    "Base",
    "LateLog",
    "Looks",
    "PartLog",
    "around",
    "conflict",
    "kept",
]

CHANGING = (
    "start",
    "stop",
    "suspend",
    "resume",
    "pause",
    "delete",
    "write_mark",
    "set_addresses",
    "update_context",
    "restore_snapshot",
    "delete_snapshot",
)
"""The calls whose first argument is a VM, and that change it."""

OFF = (State.DEFINED, State.STOPPED, State.CRASHED)


class Base(FakeProvider):
    """The healthy provider, with a way to its insides."""

    @property
    def root(self) -> Path:
        return Path(self.endpoint)

    @property
    def ignores(self) -> bool:
        """Whether guests do not obey when they are asked to stop."""
        return not getattr(self._vms.guests, "_obedient", True)

    def state_now(self, vm: str) -> State:
        self._vms.existing(vm)
        return next(each.state for each in self.all_now() if each.uuid == vm)

    def all_now(self) -> Sequence[VM]:
        return FakeProvider.inspect(self)

    def mark_now(self, vm: str) -> Mark:
        """The VM's mark; an empty one for a foreign VM."""
        return self._vms.existing(vm).mark or Mark("", "", vm)

    def put_mark(self, vm: str, mark: Mark) -> None:
        """Change the mark of a VM that has one."""
        self._vms.change(vm, lambda domain: replace(domain, mark=domain.mark and mark))

    def put_state(self, vm: str, word: str) -> None:
        self._vms.change(vm, lambda domain: replace(domain, state=word))

    def disk_path(self, vm: str) -> Path:
        return self.root / "volumes" / self._vms.existing(vm).volume

    def seed_path(self, vm: str) -> Path:
        return self.root / "seeds" / self._vms.existing(vm).seed

    def put_seed(self, vm: str, delivery: Delivery) -> None:
        content = delivery.medium or json.dumps(dict(delivery.values)).encode()
        self.seed_path(vm).write_bytes(content)

    def record(self, vm: str, delivery: Delivery) -> None:
        """Write digest and nonce into the mark."""
        mark = replace(self.mark_now(vm), digest=delivery.digest, nonce=delivery.nonce)
        self.put_mark(vm, mark)

    def ask_for_each(self, vms: Iterable[str]) -> None:
        """One request for each VM."""
        for vm in vms:
            self._directory.domain(vm)


class Looks(Base):
    """One that shows VMs and counters otherwise than they are."""

    def shown(self, vm: VM) -> VM:
        return vm

    def counted(self, counters: Metrics) -> Metrics:
        return counters

    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,
    ) -> Sequence[VM]:
        found = super().inspect(vms, evidence=evidence, known=known)
        return [self.shown(each) for each in found]

    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        return [self.counted(each) for each in super().metrics(vms)]


@dataclass
class LateLog:
    """An undo log that hears of everything only by ``tell``."""

    real: UndoLog
    waiting: list[tuple[str, str]] = field(default_factory=list)

    @property
    def operation(self) -> str:
        return self.real.operation

    def announce(self, kind: str, name: str) -> None:
        self.waiting.append((kind, name))

    def retract(self, kind: str, name: str) -> None:
        self.waiting.remove((kind, name))

    def tell(self) -> None:
        for kind, name in self.waiting:
            self.real.announce(kind, name)


@dataclass
class PartLog:
    """An undo log that does not hear of some kinds, and keeps a list of what it heard."""

    real: UndoLog
    deaf: tuple[str, ...] = ()
    heard: list[tuple[str, str]] = field(default_factory=list)

    @property
    def operation(self) -> str:
        return self.real.operation

    def announce(self, kind: str, name: str) -> None:
        if kind not in self.deaf:
            self.heard.append((kind, name))
            self.real.announce(kind, name)

    def retract(self, kind: str, name: str) -> None:
        if kind not in self.deaf:
            self.heard.remove((kind, name))
            self.real.retract(kind, name)


def around(
    names: Iterable[str], wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Callable[[P], P]:
    """A class decorator that wraps these methods of the healthy provider."""

    def apply(cls: P) -> P:
        for name in names:
            setattr(cls, name, wrap(getattr(FakeProvider, name)))
        return cls

    return apply


def conflict(code: str, vm: str) -> ConflictError:
    return ConflictError(f"VM {vm!r}: {code}", code=code, vm=vm)


@contextmanager
def kept(root: Path, paths: Iterable[Path]) -> Iterator[None]:
    """Files of a pool that are there again after the block, as they were."""
    aside = root / "kept"
    aside.mkdir(exist_ok=True)
    saved = [(path, aside / path.name) for path in paths if path.is_file()]
    for path, link in saved:
        link.hardlink_to(path)
    try:
        yield
    finally:
        for path, link in saved:
            path.unlink(missing_ok=True)
            link.rename(path)
