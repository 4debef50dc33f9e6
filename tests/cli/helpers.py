"""What these tests share: a command line over a fake pool, in this process and in its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ims_cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ROOT = Path(__file__).parents[2]
PATHS = (ROOT, ROOT / "providers", ROOT / "bootparams", ROOT / "cli")

# A shell may have started the tests in the background, where SIGINT is ignored.
CODE = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from ims_cli.main import main; sys.exit(main())"
)


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.data["error"]
        return error


@dataclass(frozen=True)
class Cli:
    """Runs ``ims`` over the configuration in ``folder``."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def __call__(self, *arguments: str | Path, stdin: bytes = b"") -> Result:
        self.patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self.capture.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = self.capture.readouterr()
        return Result(status, out, err)

    def ok(self, *arguments: str | Path, stdin: bytes = b"") -> Result:
        result = self(*arguments, stdin=stdin)
        assert result.status == 0, result
        return result

    def json(self, *arguments: str | Path) -> Any:
        return self.ok(*arguments, "--output", "json").data

    def configure(self, provider: str = "fake", **settings: object) -> None:
        """One pool, ``lab``, with these settings."""
        settings = {"provider": provider, "directory": str(self.pool), **settings}
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        (self.folder / "ims.toml").write_text("\n".join(["[pools.lab]", *lines, ""]))

    @property
    def pool(self) -> Path:
        return self.folder / "pool"

    def left_behind(self) -> list[str]:
        """What is in the pool besides templates."""
        return [
            path.name
            for place in ("domains", "volumes", "seeds", "overlays", "memory", "snapshots")
            for path in (self.pool / place).glob("*")
        ]

    @contextmanager
    def start(
        self, *arguments: str, code: str = CODE, pass_fds: tuple[int, ...] = ()
    ) -> Iterator[subprocess.Popen[str]]:
        """A process of its own, killed if it outlives any patience."""
        with subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env=environment(),
            pass_fds=pass_fds,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            watchdog = threading.Timer(60, process.kill)
            watchdog.start()
            try:
                yield process
            finally:
                watchdog.cancel()
                process.kill()

    def run_into(self, stdout: int, *arguments: str) -> Result:
        """A process of its own, with that descriptor as stdout."""
        command = [sys.executable, "-c", CODE, *arguments]
        done = subprocess.run(
            command,
            env=environment(),
            text=True,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
        )
        return Result(done.returncode, "", done.stderr)

    def shell(self, script: str, *arguments: str, stdin: str = "") -> Result:
        """A shell script in which ``"$@"`` runs the command line."""
        done = subprocess.run(
            ["sh", "-c", script, "sh", sys.executable, "-c", CODE, *arguments],
            env=environment(),
            text=True,
            input=stdin,
            capture_output=True,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """This process's, so that plugins on its path are found."""
    paths = [*map(str, PATHS), *(path for path in sys.path if path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
