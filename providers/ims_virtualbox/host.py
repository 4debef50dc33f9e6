"""A VirtualBox host: the scripts, and VBoxManage's calls, judged and repeated."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from ims_core.errors import (
    BusyError,
    HypervisorError,
    ImsError,
    NotFoundError,
    UnavailableError,
)
from ims_shell.host import CALL_SECONDS, MAKING_SECONDS, ScriptHost
from ims_virtualbox.vboxmanage.errors import failed, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ims_shell.shell import Answer

T = TypeVar("T")

__all__ = ["CALL_SECONDS", "MAKING_SECONDS", "VirtualBoxHost", "patiently"]

LOCK_SECONDS = 20.0
"""How long a session that is ending may keep a machine locked."""
_PAUSE = 0.3


@dataclass(frozen=True, slots=True)
class VirtualBoxHost(ScriptHost):
    """A machine with VirtualBox."""

    WHAT: ClassVar[str] = "VirtualBox host"
    WORDS: ClassVar[Mapping[str, tuple[type[ImsError], str]]] = {
        **ScriptHost.WORDS,
        "no-vboxmanage": (
            UnavailableError,
            "install VirtualBox there, or make VBoxManage findable for this user",
        ),
        "vm-gone": (NotFoundError, "somebody else removed it"),
    }

    def succeeded(self, answer: Answer) -> bool:
        """VBoxManage's standard error counts too."""
        return not failed(answer)

    def failure(self, subject: str, answer: Answer) -> ImsError:
        """VBoxManage's own words."""
        return judged(answer, subject)

    def manage(
        self,
        *words: str,
        subject: str,
        folder: str = "",
        template: str = "",
        timeout: float = CALL_SECONDS,
    ) -> str:
        """Run one command of VBoxManage, and return what it printed.

        Args:
            words: The command's.
            subject: What it is about, for an error's text.
            folder: Name of the VM's folder that must stay meanwhile.
            template: Name of the template that must stay meanwhile.
            timeout: Seconds.

        Raises:
            BusyError: The machine was locked by another session, for all of ``LOCK_SECONDS``.
            ImsError: As VBoxManage says.
        """

        def call() -> str:
            arguments = (folder, template, *words)
            output = self.call("vboxmanage", *arguments, subject=subject, timeout=timeout)
            return output.decode(errors="replace")

        return self._readable(call, subject)

    def register(self, name: str, folder: str, command: Sequence[str]) -> None:
        """Run the command of VBoxManage that makes a machine of that name; as :meth:`manage`.

        Raises:
            ConflictError: ``vm-exists``.
        """
        subject = f"VM {name}"
        words = (name, folder, *command)
        patiently(lambda: self.call("register", *words, subject=subject, timeout=MAKING_SECONDS))

    def secretly(self, folder: str, commands: Iterable[tuple[str, ...]], *, subject: str) -> None:
        """Run commands of VBoxManage whose arguments nobody else may see; as :meth:`manage`."""
        lines = "".join(f"{shlex.join(words)}\n" for words in commands)
        if lines:
            self._readable(
                lambda: self.call(
                    "secretly",
                    folder,
                    stdin=lines.encode(),
                    subject=subject,
                    timeout=MAKING_SECONDS,
                ),
                subject,
            )

    def _readable(self, call: Callable[[], T], subject: str) -> T:
        """What a call returns, made again if VirtualBox could only once not read the settings.

        Its server reads them when it starts, while the last one may still be replacing the file;
        what it could not read it tries again when all VMs are listed, and not before.
        """
        try:
            return patiently(call)
        except HypervisorError as error:
            if error.code != "vm-inaccessible":
                raise
        self.call("vboxmanage", "", "", "list", "vms", subject=subject)
        return patiently(call)


def patiently(call: Callable[[], T]) -> T:
    """What a call returns, made again while the machine is locked, within a bound."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return call()
        except BusyError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE)
