"""A script on a terminal, on this machine and over a real SSH server."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import UnavailableError
from ims_shell import local_terminal, ssh_terminal
from ims_shell.local import LocalShell
from ims_shell.ssh import SESSIONS, SshTarget, open_ssh
from tests.shell.test_local import wait_until_gone
from tests.sshd import running_sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ims_core.spi import ConsoleStream
    from ims_shell.shell import Shell
    from ims_shell.ssh import SshShell
    from tests.shell.proxy import Proxy

RAW = "stty raw -echo; "
SECONDS = 20.0


@pytest.fixture(params=["here", "by ssh"])
def any_shell(request: pytest.FixtureRequest) -> Iterator[Shell]:
    if request.param == "here":
        yield LocalShell()
        return
    shell = open_ssh(request.getfixturevalue("target"))
    yield shell
    shell.close()


def heard(stream: ConsoleStream, size: int) -> bytes:
    """So many bytes of it, however they come."""
    data = b""
    end = time.monotonic() + SECONDS
    while len(data) < size:
        assert time.monotonic() < end, data
        data += stream.read(1.0)
    return data


def the_rest(stream: ConsoleStream) -> bytes:
    """All that comes until its end."""
    data = b""
    end = time.monotonic() + SECONDS
    while True:
        assert time.monotonic() < end, data
        try:
            data += stream.read(1.0)
        except EOFError:
            return data


def test_what_is_typed_is_read_and_what_is_written_is_heard(any_shell: Shell) -> None:
    every_byte = bytes(range(256))
    script = RAW + 'printf "%s|" "$@" >&2; head -c 256; printf over'
    with closing(any_shell.attach(script, "it's", "$HOME", timeout=SECONDS)) as stream:
        assert heard(stream, 11) == b"it's|$HOME|"
        stream.write(every_byte)
        assert the_rest(stream) == every_byte + b"over"


def test_it_is_a_terminal_of_its_own(any_shell: Shell) -> None:
    with closing(any_shell.attach("test -t 0 && test -t 1 && tty", timeout=SECONDS)) as stream:
        assert the_rest(stream).startswith(b"/dev/pts/")


def test_nothing_comes_in_time_from_one_that_is_silent(any_shell: Shell) -> None:
    with closing(any_shell.attach("sleep 60", timeout=SECONDS)) as stream:
        began = time.monotonic()
        assert stream.read(0.2) == b""
        assert time.monotonic() - began < SECONDS


def test_who_leaves_ends_it(any_shell: Shell) -> None:
    script = RAW + "echo $$; sleep 3600; echo >/dev/null"
    stream = any_shell.attach(script, timeout=SECONDS)
    number = b""
    while not number.endswith(b"\n"):
        number += heard(stream, 1)
    stream.close()
    stream.close()
    wait_until_gone(int(number))
    stream.write(b"nobody hears it")
    with pytest.raises(EOFError):
        stream.read(1.0)


def test_one_that_reads_nothing_is_given_up(
    any_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (local_terminal, ssh_terminal):
        monkeypatch.setattr(module, "INPUT_SECONDS", 0.5)
    script = RAW + "echo; sleep 60"
    with closing(any_shell.attach(script, timeout=SECONDS)) as stream:
        heard(stream, 1)
        with pytest.raises(UnavailableError) as caught:
            stream.write(b"x" * (8 << 20))
    assert caught.value.code == "console-stuck"


def test_a_connection_that_is_lost_ends_it(proxy: Proxy, fragile: SshShell) -> None:
    with closing(fragile.attach(RAW + "echo; sleep 60", timeout=SECONDS)) as stream:
        heard(stream, 1)
        proxy.cut()
        assert the_rest(stream) == b""
        stream.write(b"nobody hears it")


def test_who_leaves_makes_room(target: SshTarget) -> None:
    with closing(open_ssh(target)) as shell:
        for _ in range(2):
            streams = [shell.attach("sleep 60", timeout=SECONDS) for _ in range(SESSIONS)]
            with pytest.raises(UnavailableError):
                shell.attach("sleep 60", timeout=0.2)
            for stream in streams:
                stream.close()
        assert shell.connections == 1


def test_a_server_without_terminals_is_a_clear_error(tmp_path: Path) -> None:
    with (
        running_sshd(tmp_path, "PermitTTY no") as sshd,
        closing(open_ssh(SshTarget("lab", ssh_config=str(sshd.config)))) as shell,
    ):
        with pytest.raises(UnavailableError) as caught:
            shell.attach("cat", timeout=SECONDS)
        assert caught.value.code == "no-terminal"
        assert "PermitTTY" in caught.value.hint
        assert shell.run("echo still here", timeout=SECONDS).output == b"still here\n"
