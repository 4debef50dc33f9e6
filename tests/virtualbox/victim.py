"""Runs ``ims`` in this process until one round trip to the host, which it does not survive.

``python -m tests.virtualbox.victim POINT MOMENT FLAG ims-arguments…``. Without a point it only
counts: the file ``FLAG`` gets a byte for each round trip. One that is made again at once, because
the machine is still locked or not yet so far, is the same one: how often depends on the moment,
and the points would not be those that were counted. See :mod:`tests.virtualbox.killing`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ims_shell.ssh import SshShell

if TYPE_CHECKING:
    from collections.abc import Callable

    from ims_shell.shell import Answer

_LOCKED = '[ "$1" -ef /proc/self/fd/9 ]\n'
_CALLED = '    VBoxManage -q "$@"'


def held(script: str, flag: str) -> str:
    """The script, which waits once, as late as it can: with its lock, before what it is for."""
    hold = (
        f"hold() {{ [ -e {flag}.on ] || {{ : >{flag}; until [ -e {flag}.on ]; do sleep 0.02; done;"
        " exec >/dev/null 2>&1; }; }\n"  # else it would end at its first word to nobody
    )
    if _CALLED in script and "\nvbox " in script.partition("need_folder() {")[2]:
        return hold + script.replace(_CALLED, f"    hold\n{_CALLED}")
    if "\nlock " in script or "\nneed_folder " in script:
        return hold + script.replace(_LOCKED, f"{_LOCKED[:-1]} && hold\n")
    return f"{hold}{script}\nhold\n"


def main(point: int, moment: str, flag: str, arguments: list[str]) -> int:
    """Count round trips, and end at one of them."""
    passed = 0
    previous: tuple[str, ...] = ()

    def watched(real: Callable[..., Answer]) -> Callable[..., Answer]:
        def call(shell: SshShell, script: str, *words: str, **options: Any) -> Answer:
            nonlocal passed, previous
            again = previous == (script, *words)
            previous = (script, *words)
            passed += not again
            if not point and not again:
                with Path(flag).open("a") as file:
                    file.write(".")
            if passed != point:
                return real(shell, script, *words, **options)
            if moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            if moment == "at-work":
                return real(shell, held(script, flag), *words, **options)  # the test kills us
            real(shell, script, *words, **options)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        return call

    for name in ("run", "send"):
        setattr(SshShell, name, watched(getattr(SshShell, name)))
    from ims_cli.main import main as ims  # noqa: PLC0415 - after its transport is watched

    return ims(arguments)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]))
