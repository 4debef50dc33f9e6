"""Asking again where the hypervisor says that it is busy (spi, sentence 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ims_core.errors import BusyError
from ims_core.service.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["patiently"]

T = TypeVar("T")

BUSY_SECONDS = 60.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


def patiently(call: Callable[[], T], deadline: Deadline | None = None) -> T:
    """The call's result, asked for again as long as it is busy and there is time.

    Args:
        call: Can be repeated.
        deadline: One minute if it is None.

    Raises:
        BusyError: It was busy all that time. Whatever else it raises is not tried again.
    """
    deadline = deadline or Deadline(BUSY_SECONDS)
    pause = _FIRST_PAUSE
    while True:
        try:
            return call()
        except BusyError:
            if deadline.expired:
                raise
        deadline.pause(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
