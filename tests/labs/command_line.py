"""The command of a lab: ``python3 -m tests.labs.<lab> start|stop [--force]|status``."""

# ruff: noqa: T201 - this is a command; printing is how it answers

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, TypeVar

from tests.labs import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Lab", "main"]

T_co = TypeVar("T_co", covariant=True)


class Lab(Protocol[T_co]):
    """What the package of each lab offers."""

    def start(self) -> T_co:
        """Start the lab unless it runs, and return how to reach it."""

    def lab(self) -> T_co | None:
        """Return the running lab, or ``None``; changes nothing."""

    def stop(self, *, force: bool = False) -> list[str]:
        """End what the lab started, and return the names of that.

        While guests run that may be somebody else's it refuses, unless forced.
        """

    def status(self) -> str:
        """Describe the lab in lines of ``word: value``; changes nothing."""


def main(name: str, lab: Lab[object], arguments: Sequence[str]) -> int:
    """Run the command; results on stdout, a failure on stderr and in the exit status.

    ``status`` exits with 3 when the lab does not run, as service scripts do.
    """
    try:
        match list(arguments):
            case ["start"]:
                lab.start()
                print(lab.status())
            case ["stop", *options] if options in ([], ["--force"]):
                ended = lab.stop(force=bool(options))
                print(f"ended: {', '.join(ended)}" if ended else "nothing of the lab's was running")
            case ["status"]:
                print(lab.status())
                return 0 if lab.lab() else 3
            case _:
                usage = f"usage: python3 -m tests.labs.{name} start|stop [--force]|status"
                print(usage, file=sys.stderr)
                return 2
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
