"""How long one call may take, and who ends it when it cannot end itself."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ims_core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Clock", "no_answer", "not_started", "watched"]

_GRACE = 1.0


class Clock:
    """The seconds that are left."""

    def __init__(self, seconds: float, *, renewed: bool = False) -> None:
        """Begin.

        Args:
            seconds: How long from now on.
            renewed: Whether each :meth:`moved` gives all of them again.
        """
        self._seconds = seconds
        self._renewed = renewed
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds; never less than none."""
        return max(0.0, self._until - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether there are none left."""
        return self.left == 0

    def moved(self) -> None:
        """Something went on."""
        if self._renewed:
            self._until = time.monotonic() + self._seconds


@contextmanager
def watched(clock: Clock, cut: Callable[[], None], *, grace: float = _GRACE) -> Iterator[None]:
    """Call ``cut`` if what is inside does not end soon after its time.

    What waits for an answer looks at the clock itself. What is stuck in sending to a peer that
    reads nothing any more cannot, and fails only when the line is cut.

    Args:
        clock: Its time; it may be renewed meanwhile.
        cut: What makes it fail, from a thread of its own.
        grace: Seconds after its time, for who looks at the clock itself to end first.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(clock.left + grace):
            if clock.over:
                cut()
                return

    watcher = threading.Thread(target=watch, name="ims-ssh-patience", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def no_answer(endpoint: str) -> UnavailableError:
    """The error for a script that took longer than it may."""
    return UnavailableError(
        f"{endpoint}: a script did not end in time; what it did is not known",
        code="no-answer",
        hint="is that machine overloaded, or does its storage hang?",
    )


def not_started(endpoint: str) -> UnavailableError:
    """The error for a script whose time was over before its turn came."""
    return UnavailableError(
        f"{endpoint}: too much else was going on to start a script in time; nothing was done",
        code="no-answer",
        hint="is that machine overloaded, or does its storage hang?",
    )
