"""The real cloud-init, out of Debian's packages, as a judge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ims_core.registry import layout
from tests.bootparams.debs import unpacked
from tests.bootparams.helpers import write_files

if TYPE_CHECKING:
    from ims_core.models import Context

#: cloud-init as Debian has it, and what it imports; it is on no other index.
PACKAGES = (
    *("cloud-init", "python3-attr", "python3-certifi", "python3-chardet", "python3-configobj"),
    *("python3-idna", "python3-jinja2", "python3-jsonpatch", "python3-json-pointer"),
    *("python3-jsonschema", "python3-markupsafe", "python3-netifaces", "python3-oauthlib"),
    *("python3-pyrsistent", "python3-requests", "python3-six", "python3-urllib3", "python3-yaml"),
)
READER = Path(__file__).with_name("cloud_init_reader.py")


@dataclass(frozen=True)
class CloudInit:
    """Where its files are, and the environment in which Python imports it."""

    tree: Path
    environment: dict[str, str]

    def read(
        self, directory: Path, kind: str, *media: Context, by: str = ""
    ) -> list[dict[str, Any]]:
        """What it reads from media of that layout with these contexts; ``by`` is one like it."""
        render = layout(by or kind).render
        trees = [
            write_files(directory / f"{kind}-{index}", render(context))
            for index, context in enumerate(media)
        ]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", READER, *(f"{kind}:{tree}" for tree in trees)],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        result: list[dict[str, Any]] = json.loads(done.stdout)
        return result


def find() -> CloudInit:
    """Unpack it, if that was not done before.

    Raises:
        OSError, SubprocessError: It cannot be had.
    """
    tree = unpacked("cloud-init", *PACKAGES)
    environment = os.environ | {"PYTHONPATH": str(tree / "usr/lib/python3/dist-packages")}
    return CloudInit(tree, environment)
