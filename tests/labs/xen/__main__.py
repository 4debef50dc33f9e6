"""``python3 -m tests.labs.xen start|stop|status``."""

# ruff: noqa: T201 - this is a command; printing is how it answers

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.labs import LabError, xen

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run the command; results on stdout, a failure on stderr and in the exit status.

    ``status`` exits with 3 when the lab does not run, as service scripts do.
    """
    try:
        match list(arguments):
            case ["start"]:
                xen.start()
                print(xen.status())
            case ["stop"]:
                print("ended" if xen.stop() else "nothing of the lab's was running")
            case ["status"]:
                print(xen.status())
                return 0 if xen.lab() else 3
            case _:
                print("usage: python3 -m tests.labs.xen start|stop|status", file=sys.stderr)
                return 2
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
