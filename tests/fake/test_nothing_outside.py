"""Whatever a guest that is a process is told, nothing outside its pool's directory changes.

Proved where it could: as root, on a machine whose every change is seen, because its file system is
an overlay, and its name, its network and its mounts are its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__)
POOL = "/pool-of-the-test"
SECONDS = 180
NAMESPACES = ("unshare", "--mount", "--uts", "--net", "--ipc", "--pid", "--fork", "--kill-child")
ESCAPES = """
echo gone >/victim/file; hostname other; ip addr add 203.0.113.9/32 dev eth0
mount -t tmpfs none /mnt; >/dev/made; >/escaped
"""


@pytest.fixture
def watched(tmp_path: Path) -> Callable[[Sequence[str]], list[str]]:
    """Runs a command as root, and lists what it changed of its machine and what it said."""
    if os.geteuid() != 0:
        pytest.skip("NOT PROVED HERE: only root may make the machine on which this is watched")
    net = tmp_path / "net"
    net.mkdir()
    (tmp_path / "try").mkdir()
    mount = (
        'mount -t tmpfs none "$0" && mkdir "$0/u" "$0/w" "$0/m" && mount -t overlay overlay'
        ' -o "lowerdir=/,upperdir=$0/u,workdir=$0/w" "$0/m"'
    )
    tried = subprocess.run(
        [*NAMESPACES, "sh", "-c", mount, tmp_path / "try"],
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    if tried.returncode != 0:
        pytest.skip(f"NOT PROVED HERE: no overlay in namespaces: {tried.stderr.strip()}")

    def watch(command: Sequence[str]) -> list[str]:
        needed = [path for path in (*sys.path, sys.prefix, sys.base_prefix) if Path(path).is_dir()]
        done = subprocess.run(
            [*NAMESPACES, "sh", HERE.with_name("outside.sh"), net, ":".join(needed), *command],
            env={**os.environ, "PYTHONPATH": ":".join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return watch


def test_what_would_escape_is_seen(watched: Callable[[Sequence[str]], list[str]]) -> None:
    changes = watched(["sh", "-c", ESCAPES])
    for change in (
        "file /victim/file ",
        "name other",
        "dev /made ",
        "file /escaped ",
    ):
        assert any(each.startswith(change) for each in changes), (change, changes)
    assert any(each.startswith("net ") and "203.0.113.9" in each for each in changes)
    assert any(each.startswith("mount ") and "/mnt " in each for each in changes)


def test_a_guest_changes_nothing_outside_its_pool(
    watched: Callable[[Sequence[str]], list[str]],
) -> None:
    program = str(HERE.with_name("everything.py"))
    lines = watched([sys.executable, "-B", program, POOL])
    said = [line for line in lines if line.startswith("said ")]
    assert len([line for line in said if line.startswith("said answered")]) == 2, lines
    assert "'scripts.0': True" in said[0], "the guest was told of the script"
    assert "could not be written" in said[0], "what leads out fails"
    changes = [line for line in lines if line not in said and not line.startswith(f"file {POOL}")]
    assert not changes
