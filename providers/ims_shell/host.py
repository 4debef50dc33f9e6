"""A machine that a provider's scripts run on: calls by name, and refusals as our errors.

A script ends with status 65 and a line ``ims-refusal WORD SENTENCE`` on standard error when it
refuses for a reason that it knows; everything else is the hypervisor's own failure.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from ims_core.errors import (
    BusyError,
    CapacityError,
    ConflictError,
    DeadlineError,
    HypervisorError,
    ImsError,
    NotFoundError,
)
from ims_shell.patience import Clock, no_answer
from ims_shell.shell import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ims_core.spi import ConsoleStream, Progress
    from ims_shell.shell import Shell

__all__ = ["CALL_SECONDS", "LAST_LINES", "MAKING_SECONDS", "ScriptHost"]

CALL_SECONDS = 60.0
"""For what only looks or changes little."""
MAKING_SECONDS = 900.0
"""For what copies a disk or a VM's memory."""
_IDLE_SECONDS = 60.0

_ATTACHED = b"attached\n"
_REFUSED = 65
_REFUSAL = re.compile(r"^ims-refusal ([a-z0-9-]+) (.*)$", re.MULTILINE)
LAST_LINES = 6
"""Of what a program wrote to standard error, for an error's details."""
_MUCH = 64 << 10


@dataclass(frozen=True, slots=True)
class ScriptHost:
    """A shell on the hypervisor's machine, the directory there that is ours, and the scripts.

    Attributes:
        shell: Runs the scripts.
        directory: Every script's first argument.
        script: The text of a script by its name.
    """

    shell: Shell
    directory: str
    script: Callable[[str], str]

    WHAT: ClassVar[str] = "machine"
    """What kind of machine it is, for an error's text."""
    WORDS: ClassVar[Mapping[str, tuple[type[ImsError], str]]] = {
        "busy": (BusyError, "another request for the same thing is at work; try again"),
        "console-in-use": (
            ConflictError,
            "somebody is attached to it; two would share the keys",
        ),
        "deadline": (DeadlineError, "give it more time, or take its power away with --force"),
        "pool-full": (CapacityError, "free space there"),
        "template-exists": (ConflictError, "choose another name, or delete that template"),
        "template-in-use": (ConflictError, "delete the VMs that were made from it first"),
        "template-not-found": (NotFoundError, "`ims list-templates` shows those that are there"),
        "vm-exists": (ConflictError, "choose another name; `ims list-vms --all` shows whose it is"),
        "vm-not-found": (NotFoundError, ""),
        "vm-not-running": (ConflictError, "`ims start-vm` starts it"),
        "vm-not-suspended": (ConflictError, ""),
        "vm-running": (ConflictError, "`ims stop-vm` first"),
        "vm-suspended": (
            ConflictError,
            "`ims resume-vm` wakes it; a stop by --force gives it up",
        ),
    }
    """The words with which its scripts refuse: the error and its hint."""

    def call(
        self,
        name: str,
        *arguments: str,
        stdin: bytes = b"",
        timeout: float = CALL_SECONDS,
        subject: str,
    ) -> bytes:
        """Run a script and return what it printed.

        Args:
            name: Of the script.
            arguments: Its arguments after the directory.
            stdin: What it reads.
            timeout: Seconds.
            subject: What it is about, for an error's text.

        Raises:
            ImsError: It refused, failed, or did not answer.
        """
        return self._output(
            self.shell.run(
                self.script(name), self.directory, *arguments, stdin=stdin, timeout=timeout
            ),
            subject,
        )

    def ask(
        self,
        name: str,
        *arguments: str,
        stdin: bytes = b"",
        subject: str,
        timeout: float = CALL_SECONDS,
    ) -> dict[str, bytes]:
        """Run a script that prints sections, and return each by its name; raises as :meth:`call`.

        A boundary that nobody can know beforehand keeps them apart, whatever they hold.
        """
        boundary = f"--{token_hex(16)}"
        output = self.call(
            name, boundary, *arguments, stdin=stdin, subject=subject, timeout=timeout
        )
        parts = output.split(f"{boundary} ".encode())[1:]
        split = (part.partition(b"\n") for part in parts)
        return {name.decode(errors="replace"): content for name, _, content in split}

    def send(
        self,
        name: str,
        *arguments: str,
        source: BinaryIO,
        size: int,
        progress: Progress,
        subject: str,
    ) -> None:
        """Run a script that reads a file of ``size`` bytes; raises as :meth:`call`."""
        answer = self.shell.send(
            self.script(name),
            self.directory,
            *arguments,
            source=source,
            size=size,
            progress=progress,
            idle=_IDLE_SECONDS,
        )
        self._output(answer, subject)

    def attach(self, name: str, *arguments: str, subject: str) -> ConsoleStream:
        """Run a script that somebody then talks to; raises as :meth:`call`.

        When it is ready it prints the line ``attached``, and it goes on when it has read one: so
        nothing of what follows can be taken for its own words, nor the other way round.
        """
        stream = self.shell.attach(
            self.script(name), self.directory, *arguments, timeout=CALL_SECONDS
        )
        with ExitStack() as held:
            held.callback(stream.close)
            told = self._told(stream)
            if told != _ATTACHED:
                raise self._error(subject, Answer(_REFUSED, b"", told.decode(errors="replace")))
            stream.write(b"\n")
            held.pop_all()
        return stream

    def _told(self, stream: ConsoleStream) -> bytes:
        """What a script on a terminal says before it waits, or to its end."""
        clock = Clock(CALL_SECONDS)
        told = b""
        with suppress(EOFError):
            while told != _ATTACHED and len(told) < _MUCH:
                if clock.over:
                    raise no_answer(self.shell.endpoint)
                told += stream.read(clock.left)
        return told

    def succeeded(self, answer: Answer) -> bool:
        """Whether a script did what it was to do."""
        return answer.status == 0

    def _output(self, answer: Answer, subject: str) -> bytes:
        if self.succeeded(answer):
            return answer.output
        raise self._error(subject, answer)

    def _error(self, subject: str, answer: Answer) -> ImsError:
        if answer.status == _REFUSED and (refusal := _REFUSAL.search(answer.errors)):
            return self._refusal(subject, *refusal.groups())
        return self.failure(subject, answer)

    def _refusal(self, subject: str, word: str, sentence: str) -> ImsError:
        cls, hint = self.WORDS.get(word, (HypervisorError, ""))
        code = "" if word in ("busy", "deadline") else word
        return cls(f"{subject}: {sentence}", hint=hint, code=code)

    def failure(self, subject: str, answer: Answer) -> ImsError:
        """The error for a script that failed, without refusing."""
        lines = [line for line in answer.errors.splitlines() if line.strip()]
        lower = answer.errors.lower()
        if "no space left" in lower or "disk quota" in lower:
            return CapacityError(
                f"{subject}: no space left in the {self.WHAT}",
                code="pool-full",
                hint="free space there",
            )
        # The cause comes first as a rule, and then what could not be undone.
        first = next((line for line in lines if "error" in line.lower()), "")
        told = first or (lines[-1] if lines else f"exit status {answer.status}")
        return HypervisorError(f"{subject}: {told.strip()}", details=tuple(lines[-LAST_LINES:]))
