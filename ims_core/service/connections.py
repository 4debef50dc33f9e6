"""The store and the pools in use, opened when first needed."""

from __future__ import annotations

import time
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

from ims_core.errors import ConfigError, ImsError
from ims_core.service.events import Event, Phase
from ims_core.service.handles import current
from ims_core.service.session import Session, open_session
from ims_core.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core.config import Config, Pool
    from ims_core.service.events import Listener
    from ims_core.store import Store

__all__ = ["Connections"]

T = TypeVar("T")

AGAIN_SECONDS = 60.0
"""So long an operation that could not be ended is not tried again by every verb."""


class Connections:
    """What one :class:`ims_core.Ims` has open; safe to use from several threads."""

    def __init__(self, config: Config, state: Path, listener: Listener) -> None:
        """Nothing is opened yet."""
        self._config = config
        self._state = state
        self._listener = listener
        self._store: Store | None = None
        self._sessions: dict[tuple[str, str], Session] = {}
        self._tried: dict[str, float] = {}
        self._lock = RLock()
        self._pools: dict[tuple[str, str], RLock] = {}
        self._telling = RLock()

    def close(self) -> None:
        """Close everything. Idempotent."""
        with self._lock:
            while self._sessions:
                self._sessions.popitem()[1].provider.close()
            if self._store is not None:
                self._store.close()
                self._store = None

    @property
    def store(self) -> Store:
        """The store of the state directory.

        Raises:
            ConfigError: ``store-unusable``.
        """
        with self._lock:
            if self._store is None:
                self._store = SqliteStore(self._state)
            return self._store

    def session(self, *, provider: str = "", pool: str = "", recover: bool = True) -> Session:
        """The pool that is meant, with its provider open.

        What processes that are gone left unfinished there is ended first.

        Args:
            provider: See :class:`ims_core.Ims`.
            pool: The same.
            recover: False leaves what is unfinished as it is.
        """
        wanted = self._config.pool(name=pool, provider=provider)
        key = (wanted.provider, wanted.name)
        with self._lock:
            opening = self._pools.setdefault(key, RLock())
        with opening:  # a pool that hangs must not keep others waiting
            session = self._sessions.get(key) or self._open(wanted)
            if recover:
                self._recover(session)
        return session

    def without_fail(
        self,
        run: Callable[[Session], T],
        *,
        provider: str,
        pool: str,
        afterwards: Callable[[Store, T], None] = lambda _store, _result: None,
    ) -> T:
        """Run what needs no store, or only its help, even if the store cannot be used.

        Args:
            run: The verb.
            provider: See :class:`ims_core.Ims`.
            pool: The same.
            afterwards: What the store should know then, if it can be used after all.
        """
        try:
            return run(self.session(provider=provider, pool=pool))
        except ConfigError as error:
            if error.code != "store-unusable" or error.operation:  # something was begun
                raise
            self.tell(Event(Phase.CONNECT, f"{error.message}; going on without it", warning=True))
        store = SqliteStore.passing(self._state)
        wanted = self._config.pool(name=pool, provider=provider)
        try:
            session = open_session(wanted, store, self.tell, self._config)
            with session.provider:
                result = run(session)
        finally:
            store.close()
        with suppress(ImsError):
            afterwards(self.store, result)
        return result

    def tell(self, event: Event) -> None:
        """Tell whoever listens, one thing at a time.

        Raises:
            CancelledError: The operation that tells it is to stop.
        """
        if handle := current():
            handle.told(event)
        with self._telling:
            self._listener(event)

    def _open(self, wanted: Pool) -> Session:
        opened = open_session(wanted, self.store, self.tell, self._config)
        with self._lock:
            self._sessions[wanted.provider, wanted.name] = opened
        if wanted.name not in self._config.pools:
            self.tell(Event(Phase.CONNECT, opened.provider.endpoint))
        return opened

    def _recover(self, session: Session) -> None:
        """End what is unfinished; what cannot be ended is told, and keeps no verb from its work."""
        now = time.monotonic()
        due = [
            each.id
            for each in session.store.operations(session.pool.name, unfinished=True)
            if now - self._tried.get(each.id, -AGAIN_SECONDS) >= AGAIN_SECONDS
        ]
        if not due:
            return
        from ims_core.service.recovery import recover  # noqa: PLC0415 - seldom needed

        for each in recover(session, due):
            session.recovered.append(each.operation)
            if each.operation.is_open:
                self._tried[each.operation.id] = now
