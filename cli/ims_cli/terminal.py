"""A guest's console, on a terminal or in a script."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_core.spi import ConsoleStream

__all__ = ["attach", "converse", "descriptor_of_stdin"]

DETACH = b"\x1d"  # Ctrl-]
QUIET_SECONDS = 1.0
_CHUNK = 4096
_PAUSE = 0.02  # a key pressed while nothing comes waits this long at most


def attach(stream: ConsoleStream, keyboard: int, screen: int) -> str:
    """Give a terminal to the guest until Ctrl-], or until the console is closed.

    Args:
        stream: The guest's console.
        keyboard: File descriptor of the terminal, put into raw mode meanwhile.
        screen: File descriptor the guest's output goes to.

    Returns:
        How it ended, for a person.
    """
    with _raw(keyboard):
        while True:
            try:
                _write(screen, stream.read(_PAUSE))
            except EOFError:
                return "the console was closed"
            if not _ready(keyboard):
                continue
            keys = os.read(keyboard, _CHUNK)
            before, detached, _ = keys.partition(DETACH)
            if before:
                stream.write(before)
            if detached or not keys:
                return "detached"


def converse(stream: ConsoleStream, source: int | None, screen: int, *, limit: float) -> str:
    """Send a script's input and copy the answers.

    Ends when the input is over and the console has been silent for a moment, and at the latest
    ``limit`` seconds after the end of the input.

    Args:
        stream: The guest's console.
        source: File descriptor of the input; None when there is none.
        screen: File descriptor the guest's output goes to.
        limit: Seconds.

    Returns:
        How it ended, for a person.
    """
    silent_since = ended = time.monotonic()
    while True:
        if source is not None and _ready(source):
            data = os.read(source, _CHUNK)
            if data:
                stream.write(data)
            else:
                source = None
        try:
            answer = stream.read(_PAUSE)
        except EOFError:
            return "the console was closed"
        _write(screen, answer)
        now = time.monotonic()
        if answer or source is not None:
            silent_since = now
        if source is not None:
            ended = now
        if now - silent_since >= QUIET_SECONDS:
            return "the console is silent"
        if now - ended >= limit:
            return "the time is over"


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _ready(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def descriptor_of_stdin() -> int | None:
    """The input's descriptor; None if the process was started without one."""
    try:
        return sys.stdin.fileno() if sys.stdin else None
    except (OSError, ValueError):  # replaced by something that is no file
        return None
