"""One pool in use: its provider, opened with validated settings."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from ims_core import __version__
from ims_core.errors import ConfigError, ConflictError, NotFoundError, NotOursError
from ims_core.registry import provider_class

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ims_core.config import Config, Pool
    from ims_core.models import VM, Mark
    from ims_core.service.events import Event as Progress
    from ims_core.service.events import Listener
    from ims_core.spi import Provider
    from ims_core.store import Intent, Operation, Store
    from ims_core.undo import Left, Undo

__all__ = ["Session", "open_session", "validated_settings"]


BUSY_SECONDS = 60.0
ROLL_BACK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Session:
    """A pool, the open provider that drives it, and whom to tell and where to write."""

    pool: Pool
    provider: Provider
    store: Store
    tell: Listener
    config: Config
    looked: Event = field(default_factory=Event)
    """Set once the marks of VMs were looked at that this store does not know."""

    recovered: list[Operation] = field(default_factory=list)
    """What earlier processes left unfinished and this one has ended."""

    def report(self, event: Progress) -> None:
        """Tell what cannot be cancelled any more: an exception of the listener is dropped."""
        with suppress(Exception):
            self.tell(event)

    @contextmanager
    def hold(self, vm: str, name: str, *, seconds: float = BUSY_SECONDS) -> Iterator[None]:
        """Hold the lock of a VM, as whoever changes it does (spi, sentence 2).

        Args:
            vm: Its UUID.
            name: Its name, for the error.
            seconds: How long to wait for it.

        Raises:
            ConflictError: ``vm-busy``: somebody else has changed it for all that time.
        """
        with ExitStack() as held:
            try:
                held.enter_context(self.store.lock(f"vm-{vm}", seconds=seconds))
            except TimeoutError:
                raise ConflictError(
                    f"VM {name!r} is being changed by another operation",
                    code="vm-busy",
                    vm=name,
                    pool=self.pool.name,
                    hint="try again when that is done, `ims list-operations` shows it;"
                    " a forced stop need not wait",
                ) from None
            yield

    def roll_back(self, undo: Undo) -> Left:
        """Discard what was announced, within a bound; returns what had to be left."""
        end = time.monotonic() + ROLL_BACK_SECONDS
        return undo.roll_back(self.provider, expired=lambda: time.monotonic() > end)

    def find(self, name: str, *, evidence: bool = False) -> VM:
        """A VM by name or UUID.

        Raises:
            NotFoundError: ``vm-not-found``.
        """
        return self._among(name, self.provider.inspect([name], evidence=evidence))

    def find_ours(self, name: str, *, evidence: bool = False) -> tuple[VM, Mark]:
        """A VM that IMS made, with its mark.

        Raises:
            NotFoundError: ``vm-not-found``.
            NotOursError: Somebody else made it, so no verb may change it.
        """
        return self.require_ours(name, self.provider.inspect([name], evidence=evidence))

    def require_ours(self, name: str, found: Sequence[VM]) -> tuple[VM, Mark]:
        """A VM of ours among those found; raises as :meth:`find_ours` does."""
        vm = self._among(name, found)
        if vm.mark is None:
            raise NotOursError(
                f"VM {name!r} was not made by IMS, so IMS does not touch it",
                vm=name,
                pool=self.pool.name,
                hint="use the hypervisor's own tools for it",
            )
        return vm, vm.mark

    def intent_of(self, vm: VM) -> Intent:
        """What a VM is meant to be told.

        Raises:
            NotFoundError: ``context-not-found``: another store made the VM.
        """
        intent = self.store.intent(vm.uuid)
        if intent is None:
            raise NotFoundError(
                f"the context of VM {vm.name!r} is not in this store",
                code="context-not-found",
                vm=vm.name,
                pool=self.pool.name,
                hint="use the IMS_STATE that created it",
            )
        return intent

    def _among(self, name: str, found: Sequence[VM]) -> VM:
        for vm in found:
            if vm.uuid == name:
                return vm
        named = [vm for vm in found if vm.name == name]
        if len(named) > 1:
            raise ConflictError(
                f"{len(named)} VMs are named {name!r} in pool {self.pool.name!r}",
                code="vm-ambiguous",
                pool=self.pool.name,
                hint=f"give the UUID of one: {', '.join(vm.uuid for vm in named)}",
            )
        if named:
            return named[0]
        raise NotFoundError(
            f"there is no VM {name!r} in pool {self.pool.name!r}",
            code="vm-not-found",
            vm=name,
            pool=self.pool.name,
            hint=f"`ims list-vms --pool {self.pool.name}` shows those there are",
        )


def open_session(pool: Pool, store: Store, tell: Listener, config: Config) -> Session:
    """Load the pool's provider and connect it."""
    cls = provider_class(pool.provider)
    return Session(pool, cls.open(validated_settings(cls, pool, store)), store, tell, config)


def validated_settings(cls: type[Provider], pool: Pool, store: Store) -> dict[str, Any]:
    """The pool's settings, validated by the provider's model, every default filled in.

    Loading pydantic costs as much as listing a pool's VMs, so the result is kept in the store
    under a key that changes with the settings and with the provider's code.
    """
    key = _fingerprint(cls, pool)
    known = store.settings(key)
    if known is None:
        known = _validate(cls, pool)
        store.save_settings(key, known)
    return known


def _validate(cls: type[Provider], pool: Pool) -> dict[str, Any]:
    from pydantic import ValidationError  # noqa: PLC0415 - only when there is something to validate

    try:
        return cls.settings().model_validate(dict(pool.settings)).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        told = first["msg"].removeprefix("Value error, ")  # of a validator of the provider's own
        raise ConfigError(
            f"pools.{pool.name}.{key}: {told}",
            pool=pool.name,
            hint=f"`ims show-provider {pool.provider}` describes the settings",
        ) from None


def _fingerprint(cls: type[Provider], pool: Pool) -> str:
    """Changes with the settings and whenever a file of the provider's package does."""
    module = sys.modules[cls.__module__]
    package = Path(module.__file__).parent if module.__file__ else Path()
    newest = max((entry.stat().st_mtime_ns for entry in package.rglob("*.py")), default=0)
    parts = [__version__, cls.__module__, cls.__qualname__, str(package), newest, pool.settings]
    return json.dumps(parts, sort_keys=True, default=str)
