"""A bound for calls that a hypervisor may never answer.

Such a call runs in a thread of its own and the caller waits for it: for as long as the bound
allows, and able to hear a signal meanwhile, which it could not inside C code. A thread that never
comes back is left behind; it holds nothing but its stack.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["within"]

R = TypeVar("R")

_SETTLING_SECONDS = 30.0


def within(seconds: float, call: Callable[[], R], late: Callable[[], Exception]) -> R:
    """The call's result, or its exception, if it ends in time.

    When the caller is interrupted, the call is still waited for: what it makes must not appear
    after the interruption was dealt with.

    Args:
        seconds: How long it may take.
        call: What is to be done.
        late: The exception to raise when it took longer.
    """
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            future.set_exception(error)

    threading.Thread(target=run, name="ims-bounded-call", daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            raise  # the call's own
        raise late() from None
    except BaseException:
        if not future.done():
            _settle(future, min(seconds, _SETTLING_SECONDS))
        raise


def _settle(future: Future[R], seconds: float) -> None:
    """Wait until a call that nobody is interested in any more has ended."""
    done = threading.Event()
    future.add_done_callback(lambda _future: done.set())
    done.wait(seconds)
