"""SIGINT, SIGTERM and SIGHUP become an exception, so that the service can roll back.

The library reacts to exceptions only; that signals exist is the command line's business.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from ims_core.errors import CancelledError

if TYPE_CHECKING:
    from types import FrameType, TracebackType

__all__ = ["Cancellation", "SignalError"]

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_SHELL_OFFSET = 128
_STDERR = 2


class SignalError(CancelledError):
    """A signal asked us to stop; the exit status names it as a shell would."""

    def __init__(self, number: int) -> None:
        """Name the signal."""
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.status = _SHELL_OFFSET + number


class Cancellation:
    """Turns the first signal into :class:`CancelledError` in the main thread.

    Later ones only say that the first is being obeyed: a rollback that was interrupted would
    leave things behind. While a rollback runs for another reason, even the first one waits.
    """

    def __init__(self) -> None:
        """Nothing has been asked yet."""
        self._error: SignalError | None = None
        self._shielded = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Install the handlers; a signal that the parent made us ignore stays ignored."""
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the former handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def shield(self) -> None:
        """From now on no signal interrupts: a rollback has begun, or the outcome is printed."""
        self._shielded = True

    def check(self) -> None:
        """Raise again what was raised before, if nobody obeyed it.

        Code that catches :class:`ImsError` to carry on may have swallowed it.
        """
        if self._error is not None and not self._shielded:
            raise self._error

    def _received(self, number: int, _frame: FrameType | None) -> None:
        if self._error is None and not self._shielded:
            self._error = SignalError(number)
            raise self._error
        with suppress(OSError):  # not sys.stderr: the handler may run in the middle of its write
            os.write(_STDERR, b"ims: already stopping; what was made is being removed\n")
