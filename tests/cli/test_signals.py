from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from subprocess import Popen

    from tests.cli.helpers import Cli

NEVER_READY = ("create-vm", "web01", "--wait", "ready")


def read_until(process: Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    pytest.fail(f"the process ended without saying {words!r}")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_rolls_back(cli: Cli, number: signal.Signals, status: int) -> None:
    cli.configure(receipts="none")
    with cli.start(*NEVER_READY) as process:
        read_until(process, "no receipt yet")
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == status
    assert f"ims: stopped by {number.name}" in err
    assert "nothing was left behind" in err
    assert cli.left_behind() == []
    assert cli.json("list-vms") == []


def test_a_second_signal_does_not_stop_the_rollback(
    odd: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, opener = os.pipe()
    monkeypatch.setenv("ODD_GATE", str(gate))
    odd.configure("odd", receipts="none")
    with odd.start(*NEVER_READY, pass_fds=(gate,)) as process:
        read_until(process, "no receipt yet")
        process.send_signal(signal.SIGINT)
        read_until(process, "discarding")
        process.send_signal(signal.SIGINT)
        read_until(process, "already stopping")
        os.write(opener, b"one for each thing that was announced")
        process.communicate(timeout=30)
    os.close(gate)
    os.close(opener)
    assert process.returncode == 130
    assert odd.left_behind() == []


def test_a_signal_that_the_parent_made_us_ignore_stays_ignored(cli: Cli) -> None:
    cli.configure(receipts="none")
    code = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "from ims_cli.main import main; sys.exit(main())"
    )
    with cli.start(*NEVER_READY, code=code) as process:
        read_until(process, "no receipt yet")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 143


def test_the_handlers_of_the_caller_come_back(cli: Cli) -> None:
    before = signal.getsignal(signal.SIGINT)
    cli.ok("list-vms")
    assert signal.getsignal(signal.SIGINT) is before
