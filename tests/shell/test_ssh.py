"""The shell over SSH, against a real sshd."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest
from paramiko import Transport
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_EOF

from ims_core.errors import (
    AccessDeniedError,
    ConfigError,
    HypervisorError,
    InvalidError,
    UnavailableError,
)
from ims_shell import gathered, ssh_connection
from ims_shell.ssh import SshTarget, open_ssh
from tests.shell.proxy import Proxy
from tests.sshd import HOST_KEYS, listening_on, make_key, running_sshd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paramiko import Message

    from ims_shell.ssh import SshShell
    from tests.sshd import Sshd

NASTY = [
    "two words",
    'it\'s "quoted"',
    "line\nbreak\n",
    "$(touch /tmp/never) `id` $HOME ${x}",
    "back\\slash \\n \\0101 \\c",
    "!history *glob? ; & | < > # ~",
    "",
    "-n",
    "für \x01\x7f",
]
PASSPHRASE = "of a key that lives as long as its test"  # noqa: S105 - so it is no secret
ECHO = 'for each in "$@"; do printf "%s\\037" "$each"; done'


# Far more than a loaded machine needs, and less than what a test would wait for if it hung.
PATIENCE = 12.0


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def direct(sshd: Sshd, **changes: object) -> SshTarget:
    """A target that needs no ssh_config."""
    target = SshTarget(
        "127.0.0.1",
        port=sshd.port,
        identity_file=str(sshd.user_key),
        known_hosts=str(sshd.known_hosts),
        ssh_config="none",
    )
    return replace(target, **changes)  # type: ignore[arg-type]


def nobody_cares(done: int, total: int | None) -> None:
    """A progress that is told to nobody."""


def refused(target: SshTarget) -> AccessDeniedError:
    with pytest.raises(AccessDeniedError) as caught:
        open_ssh(target)
    return caught.value


# --- what scripts see ----------------------------------------------------------------------------


def test_a_script_gets_its_arguments_as_data(shell: SshShell) -> None:
    answer = shell.run(ECHO, *NASTY, timeout=20)
    assert answer.output.decode() == "".join(f"{each}\x1f" for each in NASTY)
    assert answer.status == 0
    assert not Path("/tmp/never").exists()


def test_output_errors_and_status_are_told_apart(shell: SshShell) -> None:
    answer = shell.run("echo out; printf 'err\\033[31m\\n' >&2; exit 42", timeout=20)
    assert (answer.status, answer.output, answer.errors) == (42, b"out\n", "err[31m\n")


def test_a_script_that_a_signal_ends_has_the_status_of_a_shell(shell: SshShell) -> None:
    assert shell.run("kill -9 $$", timeout=20).status == 137


def test_binary_data_goes_both_ways_at_once(shell: SshShell) -> None:
    data = os.urandom(5_000_000)
    assert shell.run("cat", stdin=data, timeout=60).output == data


def test_a_script_need_not_read_its_input(shell: SshShell) -> None:
    answer = shell.run("exit 5", stdin=bytes(8_000_000), timeout=20)
    assert answer.status == 5


@pytest.mark.parametrize("stdin", [b"", b"data"])
def test_what_comes_too_late_for_a_script_costs_no_other_one_the_connection(
    target: SshTarget, monkeypatch: pytest.MonkeyPatch, stdin: bytes
) -> None:
    send = Transport._send_user_message  # type: ignore[attr-defined]
    late = []

    def send_late(self: Transport, message: Message) -> None:
        is_data = message.asbytes()[0] in (MSG_CHANNEL_DATA, MSG_CHANNEL_EOF)
        if is_data and threading.current_thread() is not self:
            wait_for(lambda: not self._channels.values())  # type: ignore[attr-defined]
            time.sleep(0.2)  # for what would be sent meanwhile
            late.append(message)
        send(self, message)

    with closing(open_ssh(target)) as shell:
        monkeypatch.setattr(Transport, "_send_user_message", send_late)
        assert shell.run("exit 5", stdin=stdin, timeout=20).status == 5
        monkeypatch.setattr(Transport, "_send_user_message", send)
        assert late
        assert shell.run("cat", stdin=b"more", timeout=20).output == b"more"
        assert shell.connections == 1


def test_sessions_are_given_back_whoever_closes_first(shell: SshShell) -> None:
    for number in range(40):  # more than sshd allows at once
        script = ("exit 0", "cat")[number % 2]
        shell.run(script, stdin=b"data", timeout=20)
    assert shell.connections == 1


def test_a_script_without_input_reads_an_end(shell: SshShell) -> None:
    assert shell.run("cat; echo end", timeout=20).output == b"end\n"


def test_errors_are_kept_to_their_end(shell: SshShell) -> None:
    answer = shell.run("head -c 200000 /dev/zero | tr '\\0' e >&2; echo last >&2", timeout=20)
    assert len(answer.errors) == gathered.ERRORS_LIMIT
    assert answer.errors.endswith("last\n")


def test_too_much_output_is_refused_and_the_connection_lives(
    shell: SshShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathered, "OUTPUT_LIMIT", 100_000)
    with pytest.raises(HypervisorError) as caught:
        shell.run("cat /dev/zero", timeout=20)
    assert caught.value.code == "output-too-large"
    assert shell.run("echo well", timeout=20).output == b"well\n"
    assert shell.connections == 1


def test_a_script_that_takes_too_long_is_given_up(shell: SshShell) -> None:
    began = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        shell.run("sleep 60", timeout=0.5)
    assert caught.value.code == "no-answer"
    assert time.monotonic() - began < PATIENCE
    assert shell.run("echo well", timeout=20).output == b"well\n"
    assert shell.connections == 1


def test_a_script_that_reads_nothing_is_given_up(shell: SshShell) -> None:
    with pytest.raises(UnavailableError) as caught:
        shell.run("sleep 60", stdin=bytes(8_000_000), timeout=1)
    assert caught.value.code == "no-answer"


def test_twenty_threads_share_one_connection(shell: SshShell) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = pool.map(lambda n: shell.run("echo $1", str(n), timeout=60).output, range(20))
    assert [int(answer) for answer in answers] == list(range(20))
    assert shell.connections == 1


def test_a_server_with_few_sessions_serves_one_after_the_other(sshd: Sshd, tmp_path: Path) -> None:
    with (
        running_sshd(tmp_path, "MaxSessions 2") as server,
        closing(open_ssh(direct(server))) as shell,
        ThreadPoolExecutor(6) as pool,
    ):
        answers = list(pool.map(lambda _: shell.run("sleep 0.1", timeout=60), range(6)))
    assert [answer.status for answer in answers] == [0] * 6
    assert shell.connections == 1


def test_a_server_without_sessions_says_so(sshd: Sshd, tmp_path: Path) -> None:
    with (
        running_sshd(tmp_path, "MaxSessions 0") as server,
        closing(open_ssh(direct(server))) as shell,
        pytest.raises(UnavailableError) as caught,
    ):
        shell.run("true", timeout=20)
    assert caught.value.code == "no-session"


def test_a_connection_renews_its_keys_while_data_flows(
    target: SshTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paramiko.packet.Packetizer.REKEY_BYTES", 1_000_000)
    data = os.urandom(5_000_000)
    with closing(open_ssh(target)) as shell:
        assert shell.run("cat", stdin=data, timeout=60).output == data
        assert shell.connections == 1


# --- files ---------------------------------------------------------------------------------------


def test_a_file_is_sent_and_its_progress_told(shell: SshShell) -> None:
    data, told = os.urandom(1_000_000), []
    answer = shell.send(
        "cat",
        source=io.BytesIO(b"before" + data),
        size=len(data) + 6,
        progress=lambda done, total: told.append((done, total)),
        idle=20,
    )
    assert answer.output == b"before" + data
    assert told == sorted(told)
    assert told[-1] == (len(data) + 6, len(data) + 6)


def test_only_the_size_that_was_said_is_sent(shell: SshShell) -> None:
    answer = shell.send("cat", source=io.BytesIO(b"abcdef"), size=3, progress=nobody_cares, idle=20)
    assert answer.output == b"abc"


def test_a_file_that_is_too_short_is_an_error(shell: SshShell) -> None:
    with pytest.raises(InvalidError) as caught:
        shell.send("cat", source=io.BytesIO(b"abc"), size=4, progress=nobody_cares, idle=20)
    assert caught.value.code == "file-too-short"


def test_sending_ends_when_nothing_moves(shell: SshShell) -> None:
    with pytest.raises(UnavailableError) as caught:
        shell.send(
            "sleep 60",
            source=io.BytesIO(bytes(8_000_000)),
            size=8_000_000,
            progress=nobody_cares,
            idle=0.5,
        )
    assert caught.value.code == "no-answer"


def test_sending_may_take_longer_than_its_idle_time(shell: SshShell) -> None:
    answer = shell.send(
        "for n in 1 2 3 4 5 6; do sleep 0.3; echo $n; done",
        source=io.BytesIO(b""),
        size=0,
        progress=nobody_cares,
        idle=1.2,
    )
    assert answer.output == b"1\n2\n3\n4\n5\n6\n"


# --- whom it trusts ------------------------------------------------------------------------------


def known(tmp_path: Path, text: str) -> str:
    path = tmp_path / "known"
    path.write_text(text)
    return str(path)


def test_an_unknown_host_is_refused_with_the_way_to_know_it(sshd: Sshd, tmp_path: Path) -> None:
    error = refused(direct(sshd, known_hosts=known(tmp_path, "")))
    assert error.code == "host-key-unknown"
    assert f"ssh-keyscan -p {sshd.port} 127.0.0.1" in error.hint
    assert "ssh-keygen -l" in error.hint
    assert (tmp_path / "known").read_text() == ""


def test_a_changed_host_is_refused_with_the_line(sshd: Sshd, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    path = known(tmp_path, f"# a comment\n[127.0.0.1]:{sshd.port} {other}")
    error = refused(direct(sshd, known_hosts=path))
    assert error.code == "host-key-changed"
    assert f"{path}:2" in error.message


@pytest.mark.parametrize("kind", HOST_KEYS)
def test_a_host_with_several_keys_is_known_by_any(sshd: Sshd, tmp_path: Path, kind: str) -> None:
    path = known(tmp_path, f"[127.0.0.1]:{sshd.port} {sshd.host_key(kind)}\n")
    open_ssh(direct(sshd, known_hosts=path)).close()


def test_a_host_that_lost_the_type_of_its_key_has_changed(sshd: Sshd, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other", "rsa").with_suffix(".pub").read_text()
    lines = f"[127.0.0.1]:{sshd.port} ecdsa-sha2-nistp384 {other.split()[1]}\n"
    assert refused(direct(sshd, known_hosts=known(tmp_path, lines))).code == "host-key-changed"


def test_a_hashed_line_makes_a_host_known(sshd: Sshd, tmp_path: Path) -> None:
    path = known(tmp_path, sshd.known_hosts.read_text())
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    assert "127.0.0.1" not in Path(path).read_text()
    open_ssh(direct(sshd, known_hosts=path)).close()


def test_a_key_of_another_port_makes_no_host_known(sshd: Sshd, tmp_path: Path) -> None:
    path = known(tmp_path, f"127.0.0.1 {sshd.host_key()}\n[127.0.0.1]:1 {sshd.host_key()}\n")
    assert refused(direct(sshd, known_hosts=path)).code == "host-key-unknown"


@pytest.mark.parametrize("pinned", [False, True])
def test_a_revoked_key_is_refused(sshd: Sshd, tmp_path: Path, *, pinned: bool) -> None:
    lines = sshd.known_hosts.read_text() + f"@revoked * {sshd.host_key()}\n"
    key = sshd.fingerprint() if pinned else ""
    error = refused(direct(sshd, known_hosts=known(tmp_path, lines), host_key=key))
    assert error.code == "host-key-revoked"


def test_a_certificate_authority_makes_no_host_known(sshd: Sshd, tmp_path: Path) -> None:
    path = known(tmp_path, f"@cert-authority * {sshd.host_key()}\n")
    assert refused(direct(sshd, known_hosts=path)).code == "host-key-unknown"


@pytest.mark.parametrize("kind", HOST_KEYS)
def test_a_fingerprint_makes_a_host_known(sshd: Sshd, tmp_path: Path, kind: str) -> None:
    key = sshd.fingerprint(kind)
    open_ssh(direct(sshd, known_hosts=known(tmp_path, ""), host_key=key)).close()


def test_a_wrong_fingerprint_refuses_even_a_known_host(sshd: Sshd) -> None:
    error = refused(direct(sshd, host_key=f"SHA256:{'A' * 43}"))
    assert error.code == "host-key-changed"


def test_a_fingerprint_that_is_none_is_a_wrong_setting(sshd: Sshd) -> None:
    with pytest.raises(ConfigError, match="fingerprint"):
        open_ssh(direct(sshd, host_key="aa:bb:cc"))


# --- who we are ----------------------------------------------------------------------------------


def test_a_wrong_key_is_refused_and_named(sshd: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path / "wrong")
    error = refused(direct(sshd, identity_file=str(key), user="root"))
    assert error.code == "ssh-key-refused"
    assert str(key) in error.message
    assert "SHA256:" in error.message
    assert "root" in error.message
    assert "PRIVATE" not in f"{error.message}{error.hint}"


def test_no_key_at_all_is_said(sshd: Sshd) -> None:
    error = refused(direct(sshd, identity_file=""))
    assert error.code == "ssh-key-refused"
    assert "no key" in error.message


def test_a_missing_key_is_named(sshd: Sshd) -> None:
    error = refused(direct(sshd, identity_file="/nowhere/key"))
    assert "/nowhere/key does not exist" in error.message


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_users_default_key_is_found(sshd: Sshd, home: Path, kind: str) -> None:
    key = make_key(home / ".ssh" / f"id_{kind}", kind)
    with authorized(sshd, key):
        open_ssh(direct(sshd, identity_file="")).close()


@contextmanager
def authorized(sshd: Sshd, key: Path) -> Iterator[None]:
    before = sshd.authorized_keys.read_text()
    sshd.authorized_keys.write_text(before + Path(f"{key}.pub").read_text())
    try:
        yield
    finally:
        sshd.authorized_keys.write_text(before)


@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_an_encrypted_key_without_an_agent_is_named(
    sshd: Sshd, tmp_path: Path, kind: str, form: str
) -> None:
    key = make_key(tmp_path / "locked", kind, PASSPHRASE)
    change = ["ssh-keygen", "-q", "-p", "-m", form, "-P", PASSPHRASE, "-N", PASSPHRASE]
    subprocess.run([*change, "-f", str(key)], check=True, capture_output=True)
    error = refused(direct(sshd, identity_file=str(key)))
    assert error.code == "ssh-key-encrypted"
    assert str(key) in error.message
    assert "ssh-add" in error.hint


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An agent of our own; adds keys that have our passphrase."""
    path = tmp_path / "agent"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(path.exists)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    ask = tmp_path / "ask"
    ask.write_text(f"#!/bin/sh\necho {PASSPHRASE}\n")
    ask.chmod(0o700)
    monkeypatch.setenv("SSH_ASKPASS", str(ask))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    yield path
    process.terminate()
    process.wait(10)


def add(key: Path) -> None:
    subprocess.run(["ssh-add", "-q", str(key)], check=True, capture_output=True)


@pytest.mark.parametrize("public_file", [True, False])
def test_an_encrypted_key_in_the_agent_is_used(
    sshd: Sshd, tmp_path: Path, agent: Path, *, public_file: bool
) -> None:
    key = make_key(tmp_path / "locked", passphrase=PASSPHRASE)
    add(key)
    with authorized(sshd, key):
        if not public_file:
            Path(f"{key}.pub").unlink()
        open_ssh(direct(sshd, identity_file=str(key))).close()


def test_the_agents_keys_are_offered_unless_only_some_may_be(
    sshd: Sshd, tmp_path: Path, agent: Path
) -> None:
    add(sshd.user_key)
    open_ssh(direct(sshd, identity_file="")).close()
    wrong = make_key(tmp_path / "wrong")
    config = tmp_path / "config"
    lines = f"Host *\n UserKnownHostsFile {sshd.known_hosts}\n IdentityFile {wrong}\n"
    config.write_text(lines)
    open_ssh(SshTarget("127.0.0.1", port=sshd.port, ssh_config=str(config))).close()
    config.write_text(f"{lines} IdentitiesOnly yes\n")
    error = refused(SshTarget("127.0.0.1", port=sshd.port, ssh_config=str(config)))
    assert error.code == "ssh-key-refused"


def test_a_key_that_the_agent_holds_is_offered_once(
    sshd: Sshd, tmp_path: Path, agent: Path
) -> None:
    key = make_key(tmp_path / "wrong")
    add(key)
    assert refused(direct(sshd, identity_file=str(key))).message.count("SHA256:") == 1


def test_an_agent_that_is_gone_is_no_obstacle(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    open_ssh(direct(sshd)).close()


def test_a_server_that_asks_for_more_than_a_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    with running_sshd(
        tmp_path,
        *("UsePAM yes", "AuthenticationMethods publickey,keyboard-interactive"),
        *("KbdInteractiveAuthentication yes",),
    ) as server:
        error = refused(direct(server))
    assert error.code == "ssh-key-refused"
    assert "asks for more" in error.message


# --- the way there -------------------------------------------------------------------------------


def way(sshd: Sshd, path: Path, *lines: str) -> SshTarget:
    hop = (
        f" HostName 127.0.0.1\n Port {sshd.port}\n IdentityFile {sshd.user_key}\n"
        f" UserKnownHostsFile {sshd.known_hosts}\n IdentitiesOnly yes\n"
    )
    path.write_text("".join(f"{line}\n" for line in lines) + f"Host lab first second\n{hop}")
    return SshTarget("lab", ssh_config=str(path))


def test_a_way_over_two_hosts(sshd: Sshd, tmp_path: Path) -> None:
    target = way(sshd, tmp_path / "config", "Host lab", " ProxyJump first,root@second")
    with closing(open_ssh(target)) as shell:
        ports = shell.run("echo $SSH_CONNECTION", timeout=20).output.split()
        data = os.urandom(300_000)
        assert shell.run("cat", stdin=data, timeout=20).output == data
        assert shell.connections == 1
    assert int(ports[3]) == sshd.port


def test_a_host_on_the_way_has_a_way_of_its_own(sshd: Sshd, tmp_path: Path) -> None:
    with Proxy(sshd.port) as proxy:
        known_hosts = tmp_path / "known"
        known_hosts.write_text(f"[127.0.0.1]:{proxy.port} {sshd.host_key()}\n")
        target = way(
            sshd,
            tmp_path / "config",
            *("Host lab", " ProxyJump second", "Host second", " ProxyJump first"),
            *("Host first", f" Port {proxy.port}", f" UserKnownHostsFile {known_hosts}"),
        )
        with closing(open_ssh(target)) as shell:
            assert shell.run("echo well", timeout=20).output == b"well\n"
        assert proxy.connections == 1


def test_a_way_in_a_circle_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    target = way(
        sshd,
        tmp_path / "config",
        "Host lab",
        " ProxyJump first",
        *("Host first second", " ProxyJump lab"),
    )
    with pytest.raises(ConfigError, match="circle"):
        open_ssh(target)


def test_each_host_on_the_way_has_to_be_known(sshd: Sshd, tmp_path: Path) -> None:
    target = way(
        sshd,
        tmp_path / "config",
        *("Host lab", " ProxyJump first", "Host first", " UserKnownHostsFile /dev/null"),
    )
    assert refused(target).code == "host-key-unknown"


def test_a_host_that_forwards_nothing_is_said(sshd: Sshd, tmp_path: Path) -> None:
    with running_sshd(tmp_path, "AllowTcpForwarding no") as server:
        target = way(server, tmp_path / "config", "Host lab", " ProxyJump first")
        with pytest.raises(UnavailableError, match="does not connect"):
            open_ssh(target)


RELAY = """
import os, socket, sys, threading
line = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def back():
    while data := line.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    line.sendall(data)
"""


def test_a_command_is_talked_through_and_ended(sshd: Sshd, tmp_path: Path) -> None:
    relay, pid = tmp_path / "relay.py", tmp_path / "pid"
    relay.write_text(RELAY)
    command = f" ProxyCommand echo $$ > {pid}; {sys.executable} {relay} %h %p; true"
    target = way(sshd, tmp_path / "config", "Host lab", command)
    with closing(open_ssh(target)) as shell:
        data = os.urandom(1_000_000)
        assert shell.run("cat", stdin=data, timeout=20).output == data
        os.kill(int(pid.read_text()), 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_what_a_command_started_is_ended_with_it(sshd: Sshd, tmp_path: Path) -> None:
    relay, pid = tmp_path / "relay.py", tmp_path / "pid"
    relay.write_text(RELAY)
    command = f"sleep 60 <&- >&- 2>&- & echo $! > {pid}; exec {sys.executable} {relay} %h %p"
    target = way(sshd, tmp_path / "config", "Host lab", f" ProxyCommand {command}")
    open_ssh(target).close()
    wait_for(lambda: ended(int(pid.read_text())))


def ended(pid: int) -> bool:
    """What has no parent any more may be a zombie for a while."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_what_a_command_complains_about_is_told(sshd: Sshd, tmp_path: Path) -> None:
    target = way(sshd, tmp_path / "config", "Host lab", " ProxyCommand echo no way >&2; exit 1")
    with pytest.raises(UnavailableError, match="no way"):
        open_ssh(target)


def test_a_command_that_says_nothing_is_given_up(sshd: Sshd, tmp_path: Path) -> None:
    target = way(sshd, tmp_path / "config", "Host lab", " ProxyCommand sleep 60")
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        open_ssh(replace(target, connect_timeout=1))
    assert time.monotonic() - began < PATIENCE


# --- when it breaks ------------------------------------------------------------------------------


def lost(shell: SshShell, script: str, **more: bytes) -> None:
    with pytest.raises(UnavailableError) as caught:
        shell.run(script, timeout=30, **more)
    assert caught.value.code == "connection-lost"


def works_again(shell: SshShell) -> None:
    assert shell.run("echo again", timeout=20).output == b"again\n"
    assert shell.connections == 2


def test_a_connection_that_is_cut_fails_the_call_and_not_the_next(
    fragile: SshShell, proxy: Proxy, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(lost, fragile, f"touch {begun}; sleep 60")
        wait_for(begun.exists)
        proxy.cut()
        call.result(PATIENCE)
    works_again(fragile)


def test_a_connection_that_is_cut_between_calls_is_not_noticed(
    fragile: SshShell, proxy: Proxy
) -> None:
    proxy.cut()
    works_again(fragile)


def test_a_cut_while_data_is_sent(fragile: SshShell, proxy: Proxy) -> None:
    proxy.cut_after(1_000_000, "to-server")
    lost(fragile, "cat >/dev/null", stdin=bytes(5_000_000))
    works_again(fragile)


def test_a_cut_while_data_is_received(fragile: SshShell, proxy: Proxy) -> None:
    proxy.cut_after(1_000_000, "to-client")
    lost(fragile, "head -c 5000000 /dev/zero")
    works_again(fragile)


@pytest.mark.parametrize("size", [0, 20_000_000], ids=["little to send", "much to send"])
def test_a_server_that_stalls_does_not_hold_a_call_beyond_its_time(
    fragile: SshShell, proxy: Proxy, size: int
) -> None:
    proxy.stall()
    began = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        fragile.run("cat >/dev/null", stdin=bytes(size), timeout=1)
    assert caught.value.code == "no-answer"
    assert time.monotonic() - began < PATIENCE
    proxy.flow()
    assert fragile.run("echo again", timeout=20).output == b"again\n"


class HeldBack(io.RawIOBase):
    """Zeros, as soon as all have come to ask for them and the test says so."""

    def __init__(self, asked: threading.Barrier) -> None:
        super().__init__()
        self._asked: threading.Barrier | None = asked

    def read(self, size: int = -1) -> bytes:
        if self._asked is not None:
            self._asked.wait(20)  # all sessions are open
            self._asked.wait(20)  # and the server stalls
            self._asked = None
        return bytes(size)


def test_calls_that_are_stuck_in_sending_end_in_time(fragile: SshShell, proxy: Proxy) -> None:
    asked = threading.Barrier(9)

    def stuck(_: int) -> tuple[str, float]:
        began = time.monotonic()
        with pytest.raises(UnavailableError) as caught:
            fragile.send(
                "cat >/dev/null",
                source=cast("BinaryIO", HeldBack(asked)),
                size=20_000_000,
                progress=nobody_cares,
                idle=3,
            )
        return caught.value.code, time.monotonic() - began

    with ThreadPoolExecutor(8) as pool:  # each fills its window; together, more than the line holds
        calls = pool.map(stuck, range(8))
        asked.wait(20)
        proxy.stall()
        asked.wait(20)
        ends = list(calls)
    assert {code for code, _ in ends} == {"no-answer"}
    assert max(seconds for _, seconds in ends) < 20, "not one after the other"
    proxy.flow()
    works_again(fragile)


def test_a_server_that_stalls_is_found_out(
    sshd: Sshd, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_connection, "KEEPALIVE", 0.2)
    monkeypatch.setattr(ssh_connection, "PATIENCE", 3.0)
    key = sshd.fingerprint()
    with closing(open_ssh(direct(sshd, port=proxy.port, host_key=key))) as shell:
        begun = tmp_path / "begun"
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(lost, shell, f"touch {begun}; sleep 60")
            wait_for(begun.exists)
            proxy.stall()
            call.result(PATIENCE)
        proxy.flow()
        works_again(shell)


def test_a_living_server_is_not_taken_for_dead(
    target: SshTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_connection, "KEEPALIVE", 0.05)
    monkeypatch.setattr(ssh_connection, "PATIENCE", 5.0)
    with closing(open_ssh(target)) as shell:
        assert shell.run("sleep 1; echo well", timeout=20).output == b"well\n"
        assert shell.connections == 1


def test_a_slow_line_that_is_full_is_not_taken_for_dead(
    fragile: SshShell, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_connection, "KEEPALIVE", 0.05)
    monkeypatch.setattr(ssh_connection, "PATIENCE", 2.0)
    proxy.cut()  # the next connection is watched by these
    assert fragile.run("echo new", timeout=20).output == b"new\n"
    proxy.slow_down(100_000)  # so what asks for a sign of life waits behind the data for longer
    assert fragile.run("wc -c", stdin=bytes(1_000_000), timeout=60).output == b"1000000\n"


def test_a_server_that_is_gone_is_said_quickly(sshd: Sshd) -> None:
    with Proxy(sshd.port) as proxy:
        key = sshd.fingerprint()
        shell = open_ssh(direct(sshd, port=proxy.port, host_key=key))
    with closing(shell):
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(UnavailableError, match="cannot be reached"):
                shell.run("true", timeout=30)
        assert time.monotonic() - began < PATIENCE


def test_something_else_on_the_port_is_no_ssh_server(sshd: Sshd) -> None:
    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]

    with listening_on(command) as port, pytest.raises(UnavailableError, match="no SSH server"):
        open_ssh(direct(sshd, port=port, connect_timeout=PATIENCE))


def test_a_server_that_never_speaks_is_given_up(sshd: Sshd, proxy: Proxy) -> None:
    proxy.stall()
    began = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        open_ssh(direct(sshd, port=proxy.port, connect_timeout=1))
    assert caught.value.code == "no-answer"
    assert time.monotonic() - began < PATIENCE


def test_a_closed_shell_stays_closed(target: SshTarget) -> None:
    shell = open_ssh(target)
    shell.close()
    shell.close()
    with pytest.raises(UnavailableError):
        shell.run("true", timeout=5)


def test_closing_ends_the_calls_that_run(target: SshTarget, tmp_path: Path) -> None:
    shell, begun = open_ssh(target), tmp_path / "begun"
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(lost, shell, f"touch {begun}; sleep 60")
        wait_for(begun.exists)
        shell.close()
        call.result(PATIENCE)


def test_nothing_is_printed(
    sshd: Sshd,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    fragile: SshShell,
    proxy: Proxy,
) -> None:
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    logging.getLogger().addHandler(handler)
    proxy.cut()
    fragile.run("true", timeout=20)
    refused(direct(sshd, identity_file="/nowhere/key"))
    other = known(tmp_path, f"[127.0.0.1]:{sshd.port} ecdsa-sha2-nistp384 AAAA\n")
    refused(direct(sshd, known_hosts=other))
    logging.getLogger().removeHandler(handler)
    assert capfd.readouterr() == ("", "")
    assert logged.getvalue() == ""


def test_a_shell_does_not_need_paramiko_to_be_spoken_of() -> None:
    script = "import sys, ims_shell.shell, ims_shell.local; sys.exit('paramiko' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
