"""What went wrong: a sentence on stderr, and as data on stdout where data was asked for."""

from __future__ import annotations

import os
from contextlib import suppress

import click

from ims_cli.messages import say
from ims_cli.output import TABLE, serialize
from ims_cli.signals import SignalError
from ims_cli.text import harmless
from ims_core.errors import ImsError

__all__ = ["report", "report_internal", "told"]

_INTERNAL = 70  # EX_SOFTWARE


def report(error: ImsError, output: str) -> int:
    """Print an error and return its exit status."""
    say("\n".join(told(error)))
    _hand_over(error, output)
    return error.status if isinstance(error, SignalError) else error.exit_status


def told(error: ImsError, about: str = "") -> list[str]:
    """The lines of an error; of one among several, with what it is about."""
    name = f"{harmless(about)}: " if about and about not in error.message else ""
    lines = [f"ims: {name}{harmless(error.message)}"]
    cause = str(error.__cause__ or "")
    if cause and cause not in error.message:
        lines.append(f"cause: {harmless(cause)}")
    if error.hint:
        lines.append(f"hint: {harmless(error.hint)}")
    return [*lines, *(f"  {harmless(detail.expandtabs())}" for detail in error.details)]


def report_internal(error: Exception, output: str) -> int:
    """Print a defect of our own, or of a plugin; the traceback only with ``IMS_DEBUG``."""
    wrapped = ImsError(
        f"internal error: {type(error).__name__}: {error}",
        code="internal-error",
        hint="IMS_DEBUG=1 shows where; please report it",
    )
    if os.environ.get("IMS_DEBUG"):
        import traceback  # noqa: PLC0415 - for developers only

        say("".join(traceback.format_exception(error)).rstrip())
    report(wrapped, output)
    return _INTERNAL


def _hand_over(error: ImsError, output: str) -> None:
    if output != TABLE:
        with suppress(OSError):  # a full disk, or a reader that left: stderr has been told
            click.echo(serialize({"error": error.to_json()}, output))
