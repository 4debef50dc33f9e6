"""A bound for calls that libvirt may never answer.

Keepalive notices a daemon that is gone, but not one that waits for ever for the monitor of a QEMU
that hangs. So calls run in a thread of their own and the caller waits for it: for as long as the
bound allows, and able to hear a signal meanwhile, which it could not inside libvirt's C code. A
thread that never comes back is left behind; it holds nothing but its stack.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ims_core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CALL_SECONDS", "MAKING_SECONDS", "bounded", "within"]

CALL_SECONDS = 30.0
"""For what only looks."""
MAKING_SECONDS = 300.0
"""For what makes something: it may have to send a medium over a slow line."""

P = ParamSpec("P")
R = TypeVar("R")


def within(seconds: float, call: Callable[[], R]) -> R:
    """The call's result, or its exception, if it ends in time.

    When the caller is interrupted, the call is still waited for: what it makes must not appear
    after the interruption was dealt with.

    Raises:
        UnavailableError: ``hypervisor-hangs``.
    """
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            future.set_exception(error)

    threading.Thread(target=run, name="ims-libvirt-call", daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        raise UnavailableError(
            f"libvirt did not answer within {seconds:g} s",
            code="hypervisor-hangs",
            hint="a QEMU process or a storage may hang; `virsh domcontrol --all` shows which",
        ) from None
    except BaseException:
        if not future.done():
            _settle(future, min(seconds, CALL_SECONDS))
        raise


def bounded(seconds: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A method whose calls end within that time."""

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        @wraps(method)
        def run(*arguments: P.args, **words: P.kwargs) -> R:
            return within(seconds, lambda: method(*arguments, **words))

        return run

    return decorate


def _settle(future: Future[R], seconds: float) -> None:
    """Wait until a call that nobody is interested in any more has ended."""
    done = threading.Event()
    future.add_done_callback(lambda _future: done.set())
    done.wait(seconds)
