"""The commands that are measured, each with an environment of its own.

kcli gets a virtual environment in the labs' cache, and both sides get a home directory, so that
no configuration, key or cache of whoever runs the benchmark has a part in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import ims_bootparams
import ims_cli
import ims_core
import ims_images
import ims_kvm
from tests.bench import BenchError
from tests.labs import cache
from tests.labs.commands import progress, run

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Timed", "Tool", "compile_ims", "genuine_environment", "ims", "kcli", "python"]

_LIMIT = 300.0
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl bench\n"
_DEAD_PROXY = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Timed:
    """How long a command took from its start to its end, and what it printed."""

    seconds: float
    output: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A command line program, run in a directory and with an environment of its own."""

    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str) -> Timed:
        """Run it to its end.

        Raises:
            BenchError: It failed.
        """
        words = [*self.command, *arguments]
        begun = time.perf_counter()
        done = subprocess.run(
            words,
            cwd=self.directory,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT,
        )
        seconds = time.perf_counter() - begun
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise BenchError(f"{' '.join(words)}: exit status {done.returncode}: {said}")
        return Timed(seconds, done.stdout)


def genuine_environment(home: Path, **more: str) -> dict[str, str]:
    """Ours without what a developer set for Python, libvirt or IMS, and with another home."""
    changed = ("PYTHON", "LIBVIRT", "IMS_", "XDG_", "KCLI", "VIRSH")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(changed)}
    kept.pop("SSH_AUTH_SOCK", None)
    return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8", **more}


def python(directory: Path) -> Tool:
    """The interpreter that runs IMS, alone."""
    return Tool((sys.executable,), directory, genuine_environment(directory))


def ims(directory: Path, config: str) -> Tool:
    """IMS as it is installed beside this interpreter, with that ``ims.toml``."""
    home = _home(directory / "ims")
    path = home / "ims.toml"
    path.write_text(config)
    script = Path(sys.executable).with_name("ims")
    command = (str(script),) if script.exists() else (sys.executable, "-m", "ims_cli")
    environment = genuine_environment(home, IMS_CONFIG=str(path), IMS_STATE=str(home / "state"))
    return Tool(command, home, environment)


def kcli(directory: Path, config: str) -> Tool:
    """Kcli from PyPI, with that configuration; installed if it is not in the cache."""
    home = _home(directory / "kcli")
    (home / ".kcli").mkdir()
    (home / ".kcli" / "config.yml").write_text(config)
    # `kcli version` asks the network for a newer one, which is not what is measured: it is
    # refused at once, on every machine.
    environment = genuine_environment(home, https_proxy=_DEAD_PROXY, HTTPS_PROXY=_DEAD_PROXY)
    return Tool((str(_installed_kcli() / "bin" / "kcli"),), home, environment)


def compile_ims() -> None:
    """Write the bytecode of IMS and of what it uses, as an installation would have done."""
    packages = (ims_core, ims_cli, ims_bootparams, ims_images, ims_kvm)
    ours = (Path(package.__path__[0]) for package in packages)
    _compile(sys.executable, Path(sysconfig.get_path("purelib")), *ours)


def _home(path: Path) -> Path:
    path.mkdir()
    keys = path / ".ssh"
    keys.mkdir(0o700)
    # Without a key kcli looks for an agent, which takes time and finds nothing.
    (keys / "id_ed25519.pub").write_text(_KEY)
    (keys / "id_ed25519").touch(0o600)
    return path


def _installed_kcli() -> Path:
    """The virtual environment with kcli; made where it stays, because it cannot be moved."""
    wanted = ("kcli", f"libvirt-python=={version('libvirt-python')}")
    parent = cache.root() / "kcli"
    path = parent / cache.key(sys.version, *wanted)
    whole = path / "whole"
    with cache.lock("kcli"):
        if whole.exists():
            return path
        progress("bench: installing kcli")
        parent.mkdir(exist_ok=True)
        shutil.rmtree(path, ignore_errors=True)
        run(sys.executable, "-m", "venv", path)
        interpreter = path / "bin" / "python"
        run(interpreter, "-m", "pip", "--disable-pip-version-check", "install", *wanted)
        _compile(str(interpreter), path / "lib")
        whole.touch()
    return path


def _compile(interpreter: str, *directories: Path) -> None:
    # Its exit status tells of files for other versions of Python, which some packages carry.
    subprocess.run(
        [interpreter, "-m", "compileall", "-q", *map(str, directories)],
        env=genuine_environment(Path.home()),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
