"""What consoles of every hypervisor have in common: what a guest printed, and one that is deaf."""

from __future__ import annotations

from ims_core.errors import UnavailableError

__all__ = ["INPUT_SECONDS", "last_lines", "takes_no_input"]

INPUT_SECONDS = 5.0
"""How long what was typed may wait to be taken."""


def last_lines(printed: bytes, lines: int) -> tuple[str, ...]:
    """The last lines that are not blank, without the characters that move a terminal's cursor."""
    text = printed.decode(errors="replace")
    printable = ("".join(c for c in line if c.isprintable()) for line in text.splitlines())
    kept = [line for line in printable if line.strip()]
    return tuple(kept[len(kept) - min(lines, len(kept)) :])


def takes_no_input() -> UnavailableError:
    """The error for a console that has taken nothing for :data:`INPUT_SECONDS`."""
    return UnavailableError(
        f"the guest took no input for {INPUT_SECONDS:g} s", code="console-stuck"
    )
