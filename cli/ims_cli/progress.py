"""Progress on stderr: a line for each step, and on a terminal a percentage redrawn in place."""

from __future__ import annotations

import sys
from threading import current_thread, main_thread
from typing import TYPE_CHECKING

from ims_cli.messages import say
from ims_cli.text import clip, harmless
from ims_core.service.events import Phase

if TYPE_CHECKING:
    from ims_cli.signals import Cancellation
    from ims_core.service.events import Event

__all__ = ["Reporter"]

_CLEAR_LINE = "\r\x1b[K"


class Reporter:
    """The listener of the command line.

    Args:
        quiet: Print warnings only.
        cancellation: Told when a rollback begins; asked at every other step.
    """

    def __init__(self, *, quiet: bool, cancellation: Cancellation) -> None:
        """Nothing printed yet."""
        self._quiet = quiet
        self._cancellation = cancellation
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._open_line = ""
        self._last: tuple[str, str, int | None] | None = None

    def __call__(self, event: Event) -> None:
        """Print a step; raises :class:`CancelledError` if a signal was not obeyed yet."""
        if event.phase in (Phase.ROLL_BACK, Phase.COMPLETE) and current_thread() is main_thread():
            self._cancellation.shield()
        if event.phase not in (Phase.COMPLETE, Phase.DONE):  # too late: nothing would be undone
            self._cancellation.check()
        if event.warning:
            self._line(f"warning: {event.message}")
        elif not self._quiet and event.phase not in (
            Phase.COMPLETE,
            Phase.DONE,
        ):  # stdout tells how it ended
            self._step(event)

    def finish(self) -> None:
        """End a line that is being redrawn."""
        if self._open_line:
            self._open_line = ""
            say("")

    def _step(self, event: Event) -> None:
        percent = None if event.percent is None else int(event.percent)
        now = (event.phase, event.message, percent)
        if now == self._last:
            return
        same_step = self._last is not None and self._last[:2] == now[:2]
        self._last = now
        text = f"{event.phase}: {event.message}"
        if self._terminal and percent is not None:
            self._redraw(text, f" {percent:3d}%")
        elif not same_step:
            self._line(text)

    def _redraw(self, text: str, percent: str) -> None:
        import shutil  # noqa: PLC0415 - only on a terminal

        room = shutil.get_terminal_size().columns - len(percent) - 1
        self._open_line = clip(harmless(text), room) + percent
        say(_CLEAR_LINE + self._open_line, end="")

    def _line(self, text: str) -> None:
        self.finish()
        say(harmless(text))
