"""An SSH connection that is cut at a certain step, by a proxy that the test controls.

Three moments of a step: before it is asked for, while its script is at work (which goes on in the
dom0, and sees the undo come), and after its work was done but before its answer arrived.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ims_core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ims_shell.shell import Answer
    from ims_shell.ssh import SshShell
    from tests.labs.xen import Machine
    from tests.shell.proxy import Proxy

__all__ = ["MOMENTS", "Cutter", "scripts_of"]

MOMENTS = ("before", "at-work", "unanswered")


def scripts_of(package: str) -> set[str]:
    """The names of a provider's scripts and of those that providers share."""
    folders = (files("ims_shell.scripts"), files(f"{package}.scripts"))
    found = (each.name for folder in folders for each in folder.iterdir())
    return {name.removesuffix(".sh") for name in found if name.endswith(".sh")}


@dataclass
class Cutter:
    """Cuts the line at a certain call of a certain script, once."""

    proxy: Proxy
    dom0: Machine
    scripts: Collection[str]
    step: str
    moment: str
    done: bool = False
    seen: list[str] = field(default_factory=list)

    def run(
        self,
        real: Callable[..., Answer],
        shell: SshShell,
        script: str,
        *arguments: str,
        **options: Any,
    ) -> Answer:
        name = self.name_of(script)
        self.seen.append(name)
        if self.done or name != self.step:
            return real(shell, script, *arguments, **options)
        self.done = True
        if self.moment == "before":
            self.proxy.cut()
            return real(shell, script, *arguments, **options)
        if self.moment == "unanswered":
            real(shell, script, *arguments, **options)
            self.proxy.cut()
            raise UnavailableError("the connection was lost", code="connection-lost")
        return self._while_at_work(real, shell, script, *arguments, **options)

    def name_of(self, script: str) -> str:
        """The script's own name stands before the colon of its first comment."""
        lines = [line[2:] for line in script.splitlines() if line.startswith("# ") and ":" in line]
        words = [line.partition(":")[0] for line in lines]
        return next(word for word in reversed(words) if word in self.scripts)

    def _while_at_work(
        self,
        real: Callable[..., Answer],
        shell: SshShell,
        script: str,
        *arguments: str,
        **options: Any,
    ) -> Answer:
        """The script says when it has begun, and goes on once the line is cut."""
        flag = f"/tmp/ims-cut-{uuid4().hex}"
        waits = (
            f"mkfifo {flag} {flag}.on; echo >{flag}; read -r _ <{flag}.on; rm {flag} {flag}.on\n"
        )

        def cut() -> None:
            self.dom0.run(f"until [ -p {flag} ]; do sleep 0.1; done; timeout 60 cat {flag}")
            self.proxy.cut()
            self.dom0.run(f"timeout 60 sh -c 'echo >{flag}.on'")

        thread = threading.Thread(target=cut)
        thread.start()
        try:
            return real(shell, f"{waits}{script}", *arguments, **options)
        finally:
            thread.join()
