"""The threads in which submitted verbs run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from ims_core.service.handles import Handle

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Workers"]

T = TypeVar("T")


class Workers:
    """A bounded number of threads, made when the first verb is submitted."""

    def __init__(self, number: int) -> None:
        """None is made yet."""
        self._number = number
        self._threads: ThreadPoolExecutor | None = None
        self._handles: WeakSet[Handle[Any]] = WeakSet()
        self._lock = Lock()

    def submit(self, call: Callable[[], T]) -> Handle[T]:
        """Run something as soon as a thread is free."""
        handle: Handle[T] = Handle()
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._number, "ims-operation")
            self._handles.add(handle)
            self._threads.submit(handle.run, call)
        return handle

    def cancel(self) -> None:
        """Cancel what has not ended."""
        with self._lock:
            for handle in list(self._handles):
                handle.cancel()

    def close(self) -> None:
        """Wait until all has ended."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=True)
