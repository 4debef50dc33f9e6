"""What is measured of the media: images of four small files, and how their time grows."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from ims_bootparams.media import build
from ims_core.models import Carrier
from tests.bench import tools
from tests.bench.timing import Budget, Row, rounds
from tests.bench.tools import Tool
from tests.labs.commands import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["growing", "writing"]

_FILES = {
    "meta-data": b'{"instance-id": "5b0b5d0c-6f5e-4f55-9c55-1a7d6c3e0a01"}\n',
    "user-data": b"#cloud-config\nhostname: bench\nssh_pwauth: true\n",
    "network-config": b'{"version": 2, "ethernets": {"eth0": {"dhcp4": true}}}\n',
    "ims.nonce": b"0123456789abcdef\n",
}
_LABEL = "cidata"
_EACH = Budget(1.5, absolute=True)
_LINEAR = Budget(1.1, reason=" (a tenth for noise)")
_AT_ONCE = 50
_SMALL, _LARGE = 4, 64  # MiB
# In a process of its own for each: what malloc keeps of an image is no part of the next.
_ONE_IMAGE = """
import os, sys, time
from ims_bootparams.media import build
from ims_core.models import Carrier
carrier, size = Carrier(sys.argv[1]), int(sys.argv[2])
build(carrier, {"a": b"b"}, "cidata")
files = {"content": os.urandom(size << 20)}
begun = time.perf_counter()
build(carrier, files, "cidata")
print((time.perf_counter() - begun) / size)
"""


def writing(directory: Path, pairs: int) -> Iterator[Row]:
    """One image by IMS, after its import, beside the programs that others run for each."""
    tree = directory / "medium-files"
    tree.mkdir()
    for name, content in _FILES.items():
        (tree / name).write_bytes(content)
    environment = tools.genuine_environment(directory)
    options = f"-quiet -volid {_LABEL} -joliet -rock -output medium.iso medium-files"
    localds = "-N medium-files/network-config medium.iso medium-files/user-data"
    peers: Mapping[Carrier, Mapping[str, str]] = {
        Carrier.ISO: {
            "genisoimage": f"genisoimage {options}",
            "xorrisofs": f"xorrisofs {options}",
            "cloud-localds": f"cloud-localds {localds} medium-files/meta-data",
        },
        Carrier.FAT_DISK: {
            "mkfs.vfat + mcopy": "rm -f m.img; truncate -s 1M m.img; mkfs.vfat -n CIDATA m.img"
            " && mcopy -oi m.img medium-files/* ::"
        },
        Carrier.EXT2_DISK: {
            "mke2fs -d": "rm -f m.img; mke2fs -q -t ext2 -L cidata -d medium-files m.img 256k"
        },
    }
    for carrier, commands in peers.items():
        progress(f"bench: context {carrier}")
        there = {name: text for name, text in commands.items() if shutil.which(name.split()[0])}
        sides = [
            _runner(Tool(("sh", "-c", text), directory, environment)) for text in there.values()
        ]
        mine, *others = rounds([_ours(carrier), *sides], pairs)
        budget = _EACH if carrier is Carrier.ISO else None
        for program, other in zip(there, others, strict=True):
            yield Row(f"context {carrier}, four small files", program, mine, other, budget)


def growing(directory: Path, pairs: int) -> Iterator[Row]:
    """The time for each MiB of a large image beside that of a small one."""
    python = tools.python(directory)
    for carrier in (each for each in Carrier if each.is_medium):
        progress(f"bench: large {carrier}")

        def per_mib(size: int, name: str = str(carrier)) -> float:
            return float(python("-c", _ONE_IMAGE, name, str(size)).output)

        large, small = rounds((lambda: per_mib(_LARGE), lambda: per_mib(_SMALL)), pairs)
        what = f"{carrier}, each MiB of {_LARGE}"
        yield Row(what, f"each MiB of {_SMALL}", large, small, _LINEAR)


def _ours(carrier: Carrier) -> Callable[[], float]:
    """The seconds that one image takes among many."""

    def timed() -> float:
        begun = time.perf_counter()
        for _ in range(_AT_ONCE):
            build(carrier, _FILES, _LABEL)
        return (time.perf_counter() - begun) / _AT_ONCE

    return timed


def _runner(tool: Tool) -> Callable[[], float]:
    return lambda: tool().seconds
