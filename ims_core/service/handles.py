"""Operations that run in the background: a future that tells how far it is, and can be undone."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ims_core.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_core.service.events import Event, Phase

__all__ = ["Handle", "current"]

T = TypeVar("T")


class Handle(Future[T], Generic[T]):
    """A verb at work; ``result()`` returns or raises what the verb does.

    Attributes:
        event: The last progress that was told; None before the first.
    """

    def __init__(self) -> None:
        """It has not begun."""
        super().__init__()
        self.stop = threading.Event()
        self.event: Event | None = None

    @property
    def phase(self) -> Phase | None:
        """The phase it is in; None before the first."""
        return self.event.phase if self.event else None

    @property
    def progress(self) -> float | None:
        """Percent of this phase; None when it cannot be known."""
        return self.event.percent if self.event else None

    def cancel(self) -> bool:
        """Ask it to stop and to undo what it made; false when it has ended already.

        ``result()`` then raises CancelledError: that of IMS once something had begun, that of
        ``concurrent.futures`` before. What has come too far to be stopped ends as if not asked.
        """
        if super().cancel():
            return True
        self.stop.set()
        return not self.done()

    def told(self, event: Event) -> None:
        """Keep its progress, or stop it if that was asked for.

        Raises:
            CancelledError: It was.
        """
        self.event = event
        self.check()

    def check(self) -> None:
        """Raise ``CancelledError`` if it is to stop."""
        if self.stop.is_set():
            raise CancelledError("the operation was cancelled")

    def run(self, call: Callable[[], T]) -> None:
        """Run it in this thread, to its end."""
        if not self.set_running_or_notify_cancel():
            return
        token = _CURRENT.set(self)
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - it is the caller's, whatever it is
            self.set_exception(error)
        else:
            self.set_result(result)
        finally:
            _CURRENT.reset(token)


_CURRENT: ContextVar[Handle[Any] | None] = ContextVar("ims_handle", default=None)


def current() -> Handle[Any] | None:
    """The handle of the verb that this thread is at; None when it was called directly."""
    return _CURRENT.get()
