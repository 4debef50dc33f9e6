"""A bound for libvirt's calls.

Keepalive notices a daemon that is gone, but not one that waits for ever for the monitor of a QEMU
that hangs.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ims_core import bounded as core
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
    """The call's result, or its exception, if it ends in time; see :mod:`ims_core.bounded`.

    Raises:
        UnavailableError: ``hypervisor-hangs``.
    """

    def late() -> UnavailableError:
        return UnavailableError(
            f"libvirt did not answer within {seconds:g} s",
            code="hypervisor-hangs",
            hint="a QEMU process or a storage may hang; `virsh domcontrol --all` shows which",
        )

    return core.within(seconds, call, late)


def bounded(seconds: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A method whose calls end within that time."""

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        @wraps(method)
        def run(*arguments: P.args, **words: P.kwargs) -> R:
            return within(seconds, lambda: method(*arguments, **words))

        return run

    return decorate
