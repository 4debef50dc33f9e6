"""A real sshd on this machine, with keys and a configuration of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SSHD = "/usr/sbin/sshd"
HOST_KEYS = ("ed25519", "rsa", "ecdsa")


@dataclass(frozen=True, slots=True)
class Sshd:
    """A running server, and files for a client that may log in."""

    directory: Path
    port: int

    @property
    def user_key(self) -> Path:
        return self.directory / "user"

    @property
    def authorized_keys(self) -> Path:
        return self.directory / "authorized_keys"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    @property
    def config(self) -> Path:
        """An ssh_config in which it is called ``lab``."""
        return self.directory / "ssh_config"

    def host_key(self, kind: str = "ed25519") -> str:
        """The public half, as two words."""
        line = (self.directory / f"host_{kind}.pub").read_text()
        return " ".join(line.split()[:2])

    def fingerprint(self, kind: str = "ed25519") -> str:
        """Of the host key, as ssh-keygen shows it."""
        command = ["ssh-keygen", "-l", "-f", str(self.directory / f"host_{kind}.pub")]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return shown.split()[1]


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path)],
        check=True,
    )
    return path


@contextmanager
def running_sshd(directory: Path, *options: str, port: int = 0) -> Iterator[Sshd]:
    """Run one in a directory; keys that are there already are used again.

    Raises:
        FileNotFoundError: It is not installed.
    """
    if shutil.which(SSHD) is None:
        raise FileNotFoundError(f"{SSHD} is missing: install openssh-server")
    for kind in HOST_KEYS:
        if not (directory / f"host_{kind}").exists():
            make_key(directory / f"host_{kind}", kind)
    if not (directory / "user").exists():
        make_key(directory / "user")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)

    def command(port: int) -> list[str]:
        server = Sshd(directory, port)
        _write_files(server, options)
        return [SSHD, "-D", "-E", str(directory / "sshd.log"), "-f", str(directory / "sshd_config")]

    with listening_on(command, port=port) as listening:
        yield Sshd(directory, listening)


@contextmanager
def listening_on(command: Callable[[int], list[str]], *, port: int = 0) -> Iterator[int]:
    """Run a server on a free port of this machine, from the moment it accepts connections."""
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
    server = subprocess.Popen(command(port), stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.communicate(timeout=10)


def _write_files(server: Sshd, options: tuple[str, ...]) -> None:
    directory = server.directory
    (directory / "sshd_config").write_text(
        "\n".join(
            [
                *options,  # first, as the first value wins
                f"Port {server.port}",
                "ListenAddress 127.0.0.1",
                *(f"HostKey {directory}/host_{kind}" for kind in HOST_KEYS),
                f"AuthorizedKeysFile {server.authorized_keys}",
                f"SetEnv HOME={directory}",  # what stands in the user's .bashrc may take long
                "StrictModes no",
                "UsePAM no",
                "PidFile none",
                "PermitRootLogin prohibit-password",
                "MaxStartups 100",
                "",
            ]
        )
    )
    if not server.authorized_keys.exists():
        server.authorized_keys.write_text((directory / "user.pub").read_text())
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {server.host_key()}\n")
    server.config.write_text(
        f"Host lab\n HostName 127.0.0.1\n Port {server.port}\n IdentityFile {server.user_key}\n"
        f" IdentitiesOnly yes\n UserKnownHostsFile {server.known_hosts}\n"
        " StrictHostKeyChecking yes\n"
    )
