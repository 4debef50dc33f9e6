from __future__ import annotations

import os
import termios
import threading
from typing import TYPE_CHECKING

import pytest

from ims_cli import terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.helpers import Cli


class Guest:
    """A console that answers what the test scripted."""

    def __init__(self, *answers: bytes, closes: bool = False) -> None:
        self._answers = list(answers)
        self._closes = closes
        self.heard = b""

    def read(self, timeout: float) -> bytes:
        del timeout
        if self._answers:
            return self._answers.pop(0)
        if self._closes:
            raise EOFError
        return b""

    def write(self, data: bytes) -> None:
        self.heard += data

    def close(self) -> None:
        """Nothing to do."""


@pytest.fixture
def pty() -> Iterator[tuple[int, int]]:
    pair = os.openpty()
    yield pair
    for descriptor in pair:
        os.close(descriptor)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    pair = os.pipe()
    yield pair
    for descriptor in pair:
        os.close(descriptor)


def test_keys_go_to_the_guest_until_ctrl_bracket(
    pty: tuple[int, int], pipe: tuple[int, int]
) -> None:
    master, slave = pty
    before = termios.tcgetattr(slave)
    guest = Guest(b"login: ")
    modes: list[int] = []

    def press_when_raw() -> None:
        # The prompt is copied only after the terminal was made raw.
        assert os.read(pipe[0], 100) == b"login: "
        modes.append(termios.tcgetattr(slave)[3])
        os.write(master, b"root\r\x03\x1dnever sent")

    person = threading.Thread(target=press_when_raw)
    person.start()
    assert terminal.attach(guest, slave, pipe[1]) == "detached"
    person.join()
    assert guest.heard == b"root\r\x03"
    assert not modes[0] & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert termios.tcgetattr(slave) == before


def test_a_console_that_closes_ends_the_session(
    pty: tuple[int, int], pipe: tuple[int, int]
) -> None:
    before = termios.tcgetattr(pty[1])
    assert terminal.attach(Guest(b"bye", closes=True), pty[1], pipe[1]) == "the console was closed"
    assert os.read(pipe[0], 100) == b"bye"
    assert termios.tcgetattr(pty[1]) == before


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes whenever somebody asks for the time."""
    ticks = iter(range(10**6))
    monkeypatch.setattr("ims_cli.terminal.time.monotonic", lambda: float(next(ticks)))


@pytest.mark.usefixtures("clock")
def test_a_script_ends_when_the_guest_is_silent(pipe: tuple[int, int]) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"hostname\n")
    os.close(writing)
    guest = Guest(b"", b"web", b"01\r\n")
    assert terminal.converse(guest, reading, pipe[1], limit=100) == "the console is silent"
    os.close(reading)
    assert guest.heard == b"hostname\n"
    assert os.read(pipe[0], 100) == b"web01\r\n"


@pytest.mark.usefixtures("clock")
def test_a_guest_that_never_falls_silent_ends_the_script_in_time(pipe: tuple[int, int]) -> None:
    guest = Guest(*[b"."] * 1000)
    assert terminal.converse(guest, None, pipe[1], limit=20) == "the time is over"


def test_a_script_talks_to_a_guest(odd: Cli) -> None:
    odd.ok("create-vm", "web01")
    result = odd.shell("printf 'hostname\\nbye\\n' | \"$@\"", "console-vm", "web01")
    assert result.status == 0, result
    assert result.out == "login: HOSTNAME\nBYE\n"
    assert "the console was closed" in result.err


def test_a_console_that_is_not_there(cli: Cli) -> None:
    cli.ok("create-vm", "web01")
    result = cli("console-vm", "web01", "--output", "json")
    assert (result.status, result.error["code"]) == (5, "unsupported")
