"""``watch`` and ``inject-files`` as they are typed."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from ims_fake import FakeProvider
from tests.cli.helpers import CODE
from tests.fake.pools import read_disk, settings_of

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import Popen

    from tests.cli.helpers import Cli

# IMS's own starts do not count as just made any more.
SETTLED = f"import ims_core.service.watching as watching; watching._LATE = -3600.0\n{CODE}"
WATCH = ("watch", "--every", "0.1", "--output", "json")


def heard(process: Popen[str], what: str, vm: str | None = None) -> dict[str, object]:
    """The next line of that kind."""
    assert process.stdout is not None
    for line in process.stdout:
        seen: dict[str, object] = json.loads(line)
        if (seen["what"], seen["vm"]) == (what, vm):
            return seen
    pytest.fail(f"it ended without {what} {vm}")


def restart(cli: Cli, process: Popen[str], uuid: str) -> None:
    """As somebody else does it."""
    with FakeProvider.open(settings_of(cli.pool)) as other:
        other.stop(uuid, force=True, timeout=1)
        heard(process, "stopped", "web01")
        other.start(uuid, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_tells_a_guest_anew_and_ends_well_when_it_is_interrupted(
    cli: Cli, number: signal.Signals
) -> None:
    vm = cli.json("create-vm", "web01", "--wait", "ready")
    with cli.start(*WATCH, code=SETTLED) as process:
        heard(process, "listening")
        restart(cli, process, vm["uuid"])
        assert str(heard(process, "told", "web01")["message"]).startswith("its context, sha256:")
        heard(process, "answered", "web01")
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "update: telling web01 its new context\n")


def test_watch_that_is_interrupted_while_it_tells_leaves_nothing_unfinished(cli: Cli) -> None:
    cli.configure(delay=1.0)
    vm = cli.json("create-vm", "web01", "--wait", "running")
    with cli.start(*WATCH, code=SETTLED) as process:
        heard(process, "listening")
        restart(cli, process, vm["uuid"])
        heard(process, "started", "web01")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert cli.json("list-operations", "--unfinished") == []
    assert cli.json("show-vm", "web01")["problem"] in (None, "")


def test_watch_tells_people_in_words_and_ends_in_its_time(cli: Cli) -> None:
    cli.ok("create-vm", "web01")
    done = cli.ok("watch", "--for", "0.2")
    assert done.out.endswith(f"Z  listening  to {cli.pool}\n")
    assert done.err == ""


def test_watch_ends_quietly_when_nobody_reads_it_any_more(cli: Cli) -> None:
    cli.ok("create-vm", "web01")
    reading, writing = os.pipe()
    os.close(reading)
    done = cli.run_into(writing, *WATCH, "--for", "5")
    assert "Traceback" not in done.err


@pytest.mark.parametrize("every", ["0", "-1", "nan", "soon"])
def test_watch_refuses_a_pause_that_is_none(cli: Cli, every: str) -> None:
    done = cli("watch", "--every", every)
    assert done.status == 2
    assert "every" in done.err


def test_files_are_injected_as_they_are_named(cli: Cli, tmp_path: Path) -> None:
    vm = cli.json("create-vm", "web01", "--wait", "defined", "--disk", "1M")
    (tmp_path / "key").write_bytes(b"\0secret\n")
    told = cli.json("inject-files", "web01", "--file", f"/root/key={tmp_path / 'key'}:0600")
    assert told == {"name": "web01", "files": ["/root/key"]}
    assert read_disk(cli.pool, vm["uuid"], "/root/key") == (b"\0secret\n", 0o600)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("web01", "--file", "/etc/motd={motd}"), 4, "vm-running"),
        (("nobody", "--file", "/etc/motd={motd}"), 3, "vm-not-found"),
        (("web01", "--file", "etc/motd={motd}"), 2, "files[0].path"),
        (("web01", "--file", "/etc/motd=/nowhere"), 2, "/nowhere"),
        (("web01", "--file", "/etc/motd"), 2, "GUEST_PATH=FILE"),
        (("web01", "--file", "/etc/motd={motd}:9"), 2, "9"),
        (("web01",), 2, "--file"),
    ],
)
def test_injections_that_cannot_be_are_refused(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    cli.ok("create-vm", "web01")
    motd = tmp_path / "motd"
    motd.write_text("hello\n")
    given = [each.format(motd=motd) for each in arguments]
    done = cli("inject-files", *given, "--output", "json")
    assert done.status == status, done
    assert words in done.out + done.err
    assert "Traceback" not in done.err
