"""``python -m tests.bench [--pairs N] [--only PART] [--markdown FILE]``."""

# ruff: noqa: T201 - this is a command; printing is how it answers

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ims_core import ImsError
from tests.bench import BenchError, commands, machine, many, media, report
from tests.bench.ground import prepared, shielded
from tests.labs import LabError, cache, kvm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.ground import Ground
    from tests.bench.timing import Row
    from tests.labs.kvm import KvmLab

_PARTS = ("start", "list", "create", "many", "store", "media")
_PAIRS = 15
_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Measure and report; the exit status tells only whether it could be done."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    load = os.getloadavg()[0]
    try:
        with (
            cache.lock("bench"),
            _running_lab() as lab,
            _fresh_directory() as directory,
            prepared(lab, directory) as ground,
        ):
            rows = list(_measure(ground, options.only, options.pairs))
            header = machine.describe(ground, options.pairs, load)
    except (BenchError, LabError, ImsError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; everything was removed", file=sys.stderr)
        return _INTERRUPTED
    print(report.text(header, rows))
    if options.markdown is not None:
        options.markdown.write_text(report.markdown(header, rows), encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--pairs", type=_count, default=_PAIRS, help="rounds that count")
    parser.add_argument("--only", choices=_PARTS, action="append", help="repeatable")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write it there as well")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _measure(ground: Ground, only: Sequence[str] | None, pairs: int) -> Iterator[Row]:
    parts = only or _PARTS
    if "start" in parts:
        yield from commands.starting(ground, pairs)
    if "list" in parts:
        yield from commands.listing(ground, pairs)
    if "create" in parts:
        yield from commands.creating(ground, pairs)
    if "many" in parts:
        yield from many.hundred(ground, pairs)
    if "store" in parts:
        yield from many.store(ground, pairs)
    if "media" in parts:
        yield from media.writing(ground.directory, pairs)
        yield from media.growing(ground.directory, pairs)


@contextmanager
def _fresh_directory() -> Iterator[Path]:
    """For both sides' homes and state; beside the cache, so that it lies on a disk."""
    path = cache.root() / "bench"
    shutil.rmtree(path, ignore_errors=True)  # a killed run left it
    path.mkdir()
    try:
        yield path
    finally:
        with shielded():
            shutil.rmtree(path)


@contextmanager
def _running_lab() -> Iterator[KvmLab]:
    """The KVM lab; stopped at the end if it was started here."""
    before = kvm.lab()
    lab = kvm.start()
    try:
        yield lab
    finally:
        with shielded():
            if before is None:
                kvm.stop(force=True)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
