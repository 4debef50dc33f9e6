"""What is measured of the media: seed images of four small files."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from ims_bootparams.media.iso import build_iso
from tests.bench import tools
from tests.bench.timing import Budget, Row, rounds
from tests.bench.tools import Tool
from tests.labs.commands import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["writing"]

_FILES = {
    "meta-data": b'{"instance-id": "5b0b5d0c-6f5e-4f55-9c55-1a7d6c3e0a01"}\n',
    "user-data": b"#cloud-config\nhostname: bench\nssh_pwauth: true\n",
    "network-config": b'{"version": 2, "ethernets": {"eth0": {"dhcp4": true}}}\n',
    "ims.nonce": b"0123456789abcdef\n",
}
_LABEL = "cidata"
_EACH = Budget(1.5, absolute=True)
_AT_ONCE = 50


def writing(directory: Path, pairs: int) -> Iterator[Row]:
    """One image by IMS, after its import, beside the programs that others run for each."""
    progress("bench: context ISO")
    tree = directory / "medium-files"
    tree.mkdir()
    for name, content in _FILES.items():
        (tree / name).write_bytes(content)
    environment = tools.genuine_environment(directory)
    options = ("-quiet", "-volid", _LABEL, "-joliet", "-rock", "-output", "medium.iso", str(tree))
    programs = [name for name in ("genisoimage", "xorrisofs") if shutil.which(name)]
    sides = [_runner(Tool((name,), directory, environment), options) for name in programs]
    mine, *others = rounds([_ours, *sides], pairs)
    for program, other in zip(programs, others, strict=True):
        yield Row("context ISO, four small files", program, mine, other, _EACH)


def _ours() -> float:
    """The seconds that one image takes among many."""
    begun = time.perf_counter()
    for _ in range(_AT_ONCE):
        build_iso(_FILES, _LABEL)
    return (time.perf_counter() - begun) / _AT_ONCE


def _runner(tool: Tool, options: tuple[str, ...]) -> Callable[[], float]:
    return lambda: tool(*options).seconds
