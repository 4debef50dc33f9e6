"""A user without keys, an sshd for all tests, and a look at what a test leaves behind."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_shell.ssh import SshTarget, open_ssh
from tests.conftest import unavailable
from tests.labs import LabError
from tests.shell.proxy import Proxy
from tests.sshd import running_sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ims_shell.ssh import SshShell
    from tests.sshd import Sshd


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the keys, the known hosts or the agent of whoever runs it."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(20)  # a timer that was called off takes a moment to end
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    directory = tmp_path_factory.mktemp("sshd")
    try:
        with running_sshd(directory) as running:
            yield running
    except FileNotFoundError as error:
        unavailable("sshd", LabError(str(error)))


@pytest.fixture
def target(sshd: Sshd) -> SshTarget:
    """The right way to log in."""
    return SshTarget("lab", ssh_config=str(sshd.config))


@pytest.fixture
def shell(target: SshTarget) -> Iterator[SshShell]:
    opened = open_ssh(target)
    yield opened
    opened.close()


@pytest.fixture
def proxy(sshd: Sshd) -> Iterator[Proxy]:
    with Proxy(sshd.port) as running:
        yield running


@pytest.fixture
def fragile(sshd: Sshd, target: SshTarget, proxy: Proxy) -> Iterator[SshShell]:
    """A shell whose connection the test can break."""
    shell = open_ssh(replace(target, port=proxy.port, host_key=sshd.fingerprint()))
    yield shell
    shell.close()
