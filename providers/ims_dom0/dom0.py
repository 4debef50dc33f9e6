"""A dom0 that a provider's scripts run in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ims_core.errors import CapacityError, ConflictError, ImsError, InvalidError, UnavailableError
from ims_shell.host import CALL_SECONDS, LAST_LINES, MAKING_SECONDS, ScriptHost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_shell.shell import Answer

__all__ = ["CALL_SECONDS", "MAKING_SECONDS", "Dom0"]

_NO_MEMORY = ("failed to free memory", "not enough memory", "not enough free memory")


@dataclass(frozen=True, slots=True)
class Dom0(ScriptHost):
    """A machine with Xen."""

    WHAT: ClassVar[str] = "dom0"
    WORDS: ClassVar[Mapping[str, tuple[type[ImsError], str]]] = {
        **ScriptHost.WORDS,
        "memory-stale": (ConflictError, "`ims stop-vm --force` gives the saved memory up"),
        "uuid-taken": (ConflictError, "`xl list -v` in the dom0 shows which; it is not ours"),
        "no-xl": (UnavailableError, "is it booted as a Xen dom0, with xen-utils and as root?"),
    }

    def failure(self, subject: str, answer: Answer) -> ImsError:
        """Xen's own words, where it has any."""
        lines = tuple(line for line in answer.errors.splitlines() if line.strip())[-LAST_LINES:]
        lower = answer.errors.lower()
        if any(words in lower for words in _NO_MEMORY):
            return CapacityError(
                f"{subject}: the dom0 has no memory left for it",
                code="host-full",
                hint="stop a VM there, or order less --memory",
                details=lines,
            )
        if "segment kernel too large" in lower or "segment ramdisk too large" in lower:
            return InvalidError(
                f"{subject}: its memory is too small for its kernel and ramdisk",
                hint="order more --memory; a template's --min-memory refuses such an order at once",
                details=lines,
            )
        return ScriptHost.failure(self, subject, answer)
