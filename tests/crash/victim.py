"""Runs ``ims`` in this process with its transports watched, and has an accident at one point.

``python -m tests.crash.victim PLAN ims-arguments…``; see :class:`tests.crash.points.Plan`.
"""

from __future__ import annotations

import signal
import sys

from tests.crash.points import Plan, Points
from tests.crash.watched_files import watch_files
from tests.crash.watched_libvirt import watch_libvirt
from tests.crash.watched_store import watch_store


def main(plan: Plan, arguments: list[str]) -> int:
    """Watch, and run the command line."""
    # A shell may have started the tests in the background, where SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    points = Points(plan)
    watch_store(points)
    if plan.libvirt:
        watch_libvirt(points)
    watch_files(points)
    from ims_cli.main import main as ims  # noqa: PLC0415 - after the transports are wrapped

    return ims(arguments)


if __name__ == "__main__":
    sys.exit(main(Plan.from_json(sys.argv[1]), sys.argv[2:]))
