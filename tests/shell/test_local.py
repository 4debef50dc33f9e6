"""The shell on this machine."""

from __future__ import annotations

import io
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ims_core.errors import HypervisorError, InvalidError, UnavailableError
from ims_shell import gathered
from ims_shell.local import LocalShell


@pytest.fixture
def shell() -> LocalShell:
    return LocalShell()


def nobody_cares(done: int, total: int | None) -> None:
    """A progress that is told to nobody."""


def gone(pid: int) -> bool:
    """Whether it ended; what has no parent any more may be a zombie for a while."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while not gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_script_gets_its_arguments_as_data(shell: LocalShell) -> None:
    words = ["two words", "it's", "line\nbreak\n", "$(id) `id` $HOME", "\\n", "", "-n", "für"]
    answer = shell.run('for each in "$@"; do printf "%s|" "$each"; done', *words, timeout=20)
    assert answer.output.decode() == "".join(f"{word}|" for word in words)


def test_output_errors_and_status_are_told_apart(shell: LocalShell) -> None:
    answer = shell.run("echo out; printf 'err\\033[31m\\n' >&2; exit 42", timeout=20)
    assert (answer.status, answer.output, answer.errors) == (42, b"out\n", "err[31m\n")


def test_a_script_that_a_signal_ends_has_the_status_of_a_shell(shell: LocalShell) -> None:
    assert shell.run("kill -9 $$", timeout=20).status == 137


def test_binary_data_goes_both_ways_at_once(shell: LocalShell) -> None:
    data = os.urandom(5_000_000)
    assert shell.run("cat", stdin=data, timeout=60).output == data


def test_a_script_need_not_read_its_input(shell: LocalShell) -> None:
    assert shell.run("exit 5", stdin=bytes(8_000_000), timeout=20).status == 5


def test_a_script_may_close_its_output_and_go_on(shell: LocalShell) -> None:
    assert shell.run("exec >&- 2>&-; sleep 0.2; exit 6", timeout=20).status == 6


def test_a_script_that_takes_too_long_is_killed_with_its_children(
    shell: LocalShell, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    began = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        shell.run('sleep 60 & echo "$$ $!" > "$1"; wait', str(pids), timeout=0.5)
    assert caught.value.code == "no-answer"
    assert time.monotonic() - began < 30
    for pid in pids.read_text().split():
        wait_until_gone(int(pid))


def test_children_that_outlive_the_script_and_hold_its_output_are_killed(
    shell: LocalShell, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(UnavailableError):
        shell.run('sleep 60 & echo $! > "$1"', str(pid), timeout=0.5)
    wait_until_gone(int(pid.read_text()))


def test_too_much_output_is_refused(shell: LocalShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered, "OUTPUT_LIMIT", 100_000)
    with pytest.raises(HypervisorError) as caught:
        shell.run("cat /dev/zero", timeout=20)
    assert caught.value.code == "output-too-large"


def test_errors_are_kept_to_their_end(shell: LocalShell) -> None:
    answer = shell.run("head -c 200000 /dev/zero | tr '\\0' e >&2; echo last >&2", timeout=20)
    assert len(answer.errors) == gathered.ERRORS_LIMIT
    assert answer.errors.endswith("last\n")


def test_a_file_is_sent_and_its_progress_told(shell: LocalShell) -> None:
    data = os.urandom(1_000_000)
    told: list[tuple[int, int | None]] = []
    answer = shell.send(
        "cat",
        source=io.BytesIO(data + b"more"),
        size=len(data),
        progress=lambda done, total: told.append((done, total)),
        idle=20,
    )
    assert answer.output == data
    assert told == sorted(told)
    assert told[-1] == (len(data), len(data))


def test_a_file_that_is_too_short_is_an_error(shell: LocalShell) -> None:
    with pytest.raises(InvalidError) as caught:
        shell.send("cat", source=io.BytesIO(b"a"), size=2, progress=nobody_cares, idle=20)
    assert caught.value.code == "file-too-short"


def test_sending_ends_when_nothing_moves(shell: LocalShell) -> None:
    with pytest.raises(UnavailableError) as caught:
        shell.send(
            "sleep 60",
            source=io.BytesIO(bytes(8_000_000)),
            size=8_000_000,
            progress=nobody_cares,
            idle=0.3,
        )
    assert caught.value.code == "no-answer"


def test_who_is_told_the_progress_may_stop_it(shell: LocalShell, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(done: int, total: int | None) -> None:
        raise StopError

    pid = tmp_path / "pid"
    with pytest.raises(StopError):
        shell.send(
            'echo $$ > "$1.new"; mv "$1.new" "$1"; cat >/dev/null; sleep 60',
            str(pid),
            source=io.BytesIO(bytes(8_000_000)),
            size=8_000_000,
            progress=stop,
            idle=20,
        )
    if pid.exists():  # it was stopped so early that it may not even have said its name
        wait_until_gone(int(pid.read_text()))


def test_many_threads_use_it_at_once(shell: LocalShell) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda n: shell.run("cat", stdin=b"%d" % n, timeout=20).output, range(40)
        )
    assert [int(answer) for answer in answers] == list(range(40))
    shell.close()
