"""A deadline for network transfers that holds even while a read blocks."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

from ims_core.errors import DeadlineError
from ims_images._url import public_url

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Deadline"]


class Deadline:
    """Ends a transfer when its time is up, even inside a read that drips; a context manager.

    A socket timeout bounds one silence only, so a timer also shuts the connection down.

    Args:
        seconds: From now.
        what: The URL, for the error.

    Attributes:
        end: On the monotonic clock.
    """

    def __init__(self, seconds: float, what: str) -> None:
        """Start the clock."""
        self._seconds = seconds
        self.end = time.monotonic() + seconds
        self._what = what
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._expired = False
        self._timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """Start the timer."""
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the timer."""
        self._timer.cancel()
        self.watch(None)

    def watch(self, connection: socket.socket | None) -> None:
        """Shut this connection down at the end, in place of the one before; we close it."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = connection
            if self._expired:
                self._shut_down()

    def _expire(self) -> None:
        with self._lock:
            self._expired = True
            self._shut_down()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes whoever reads

    def left(self) -> float:
        """Seconds left, more than 0.

        Raises:
            DeadlineError: None are.
        """
        seconds = self.end - time.monotonic()
        if self._expired or seconds <= 0:
            raise self.error()
        return seconds

    def error(self) -> DeadlineError:
        """The time was not enough."""
        return DeadlineError(
            f"{public_url(self._what)} was not fetched within {self._seconds:g} seconds",
            code="image-fetch-timeout",
            hint="give it more time with --timeout; what has arrived is kept",
        )
