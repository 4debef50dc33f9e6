"""``python3 -m tests.labs.kvm start|stop [--force]|status``."""

# ruff: noqa: T201 - this is a command; printing is how it answers

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.labs import LabError, kvm

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run the command; results on stdout, a failure on stderr and in the exit status.

    ``status`` exits with 3 when the lab does not run, as service scripts do.
    """
    try:
        match list(arguments):
            case ["start"]:
                kvm.start()
                print(kvm.status())
            case ["stop", *options] if options in ([], ["--force"]):
                ended = kvm.stop(force=bool(options))
                print(f"ended: {', '.join(ended)}" if ended else "nothing of the lab's was running")
            case ["status"]:
                print(kvm.status())
                return 0 if kvm.lab() else 3
            case _:
                print(
                    "usage: python3 -m tests.labs.kvm start|stop [--force]|status", file=sys.stderr
                )
                return 2
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
