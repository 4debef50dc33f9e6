"""The same job over the other kinds of connection: a user's own session, and SSH."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kvm.conftest import BOOT_SECONDS, TEMPLATE, write_config
from tests.sshd import running_sshd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.kvm.conftest import Lab
    from tests.labs.kvm import KvmLab

pytestmark = [
    pytest.mark.lab_kvm,
    pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root"),
]

NOBODY = 65534
# It may read the interpreter wherever it lies, and do nothing else that the user could not.
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)


def ims(
    *arguments: str, prefix: tuple[str, ...] = (), environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-m", "ims_cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def the_whole_job(image: Path, prefix: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """Import, create until ready, look, stop, delete; returns what show-vm printed."""

    def run(*arguments: str) -> str:
        done = ims(*arguments, prefix=prefix, environment=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("import-template", str(image), "--name", TEMPLATE, "--layout", "bootparams")
    wait = ("--wait", "ready", "--timeout", str(BOOT_SECONDS))
    run("create-vm", "far01", "--memory", "128M", *wait)
    shown = run("show-vm", "far01")
    assert "far01" in run("metrics")
    assert "ims-guest: ready" in run("console-vm", "far01", "--log")
    run("stop-vm", "far01")
    run("start-vm", "far01", *wait)
    run("delete-vm", "far01")
    run("delete-template", TEMPLATE)
    assert "far01" not in run("list-vms", "--all")
    return shown


@pytest.fixture
def nobodys_home() -> Iterator[dict[str, str]]:
    """A home for a user without rights; short, because sockets with long paths cannot be made."""
    home = Path(tempfile.mkdtemp(prefix="ims", dir="/tmp"))
    for name in (".", "run", "state"):
        (home / name).mkdir(mode=0o700, exist_ok=True)
        os.chown(home / name, NOBODY, NOBODY)
    yield {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "IMS_STATE": str(home / "state"),
        "IMS_CONFIG": str(home / "ims.toml"),
    }
    for pid_file in home.rglob("*.pid"):
        # The daemons of a session start by themselves; these are the ones of this home.
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
    shutil.rmtree(home, ignore_errors=True)


def test_a_users_own_session(
    kvm_lab: KvmLab, tiny_image: Path, nobodys_home: dict[str, str]
) -> None:
    Path(nobodys_home["IMS_CONFIG"]).write_text(
        '[pools.mine]\nprovider = "kvm"\nuri = "qemu:///session"\n'
    )
    shown = the_whole_job(tiny_image, AS_NOBODY, nobodys_home)
    assert "10.0.2." in shown, "QEMU's own NAT, known from the receipt alone"


def test_a_user_without_rights_is_told_what_to_do(
    kvm_lab: KvmLab, nobodys_home: dict[str, str]
) -> None:
    Path(nobodys_home["IMS_CONFIG"]).write_text(
        f'[pools.theirs]\nprovider = "kvm"\nuri = "{kvm_lab.uri}"\n'
    )
    refused = ims("list-vms", prefix=AS_NOBODY, environment=nobodys_home)
    assert refused.returncode == 6
    assert "Traceback" not in refused.stderr
    assert "group libvirt" in refused.stderr


def test_a_libvirt_behind_ssh(lab: Lab, tiny_image: Path, tmp_path: Path) -> None:
    with ssh_server(tmp_path) as ssh:
        uri = f"qemu+ssh://root@lab/system?command={ssh}"
        config = write_config(tmp_path, lab.lab, uri=uri, storage_pool="ims-ssh")
        config.write_text(
            config.read_text() + f'storage_path = "{lab.lab.pool_path.parent / "ims-ssh"}"\n'
        )
        environment = {"IMS_CONFIG": str(config), "IMS_STATE": str(tmp_path / "state")}
        try:
            shown = the_whole_job(tiny_image, (), environment)
        finally:
            remove_pool("ims-ssh", lab.lab.pool_path.parent / "ims-ssh")
    assert "192.168.177." in shown


def remove_pool(name: str, path: Path) -> None:
    for command in ("pool-destroy", "pool-undefine"):
        subprocess.run(["virsh", "--quiet", command, name], check=False, capture_output=True)
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def ssh_server(directory: Path) -> Iterator[Path]:
    """A script that is ``ssh`` to a server of its own, called ``lab``."""
    with running_sshd(directory) as server:
        script = directory / "ssh"
        script.write_text(f'#!/bin/sh\nexec ssh -F "{server.config}" "$@"\n')
        script.chmod(0o700)
        yield script
