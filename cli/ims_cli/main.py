"""The console script: run one command line, and always end with a sentence and a status."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

import click

from ims_cli.failure import report, report_internal
from ims_cli.group import VERBS, ims
from ims_cli.output import wanted_output
from ims_cli.signals import Cancellation
from ims_core.errors import CancelledError, ImsError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run ``ims`` with these arguments, or with the process's own; returns the exit status."""
    arguments = list(sys.argv[1:] if args is None else args)
    _escape_what_cannot_be_encoded()
    with Cancellation() as cancellation:
        try:
            return _run(arguments, cancellation)
        except Exception as error:  # noqa: BLE001 - the last place that can say it in one line
            cancellation.shield()
            status = _failed(error, arguments)
            _drop_what_cannot_be_written()
            return status


def _drop_what_cannot_be_written() -> None:
    """Keep Python from trying again at its end, which would change the exit status."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _run(arguments: list[str], cancellation: Cancellation) -> int:
    try:
        status = ims.main(
            arguments or ["--help"], prog_name="ims", standalone_mode=False, obj=cancellation
        )
    except SystemExit as leaving:  # click's answer to a reader that went away
        status = leaving.code if isinstance(leaving.code, int | None) else 1
    return status if isinstance(status, int) else 0


def _failed(error: Exception, arguments: list[str]) -> int:
    output = wanted_output(arguments)
    match error:
        case ImsError():
            return report(error, output)
        case click.Abort():
            return report(CancelledError("interrupted"), output)
        case click.UsageError():
            return report(_usage_error(error, arguments), output)
        case click.ClickException():
            return report(ImsError(error.format_message()), output)
        case OSError():
            return report(_os_error(error), output)
        case _:
            return report_internal(error, output)


def _usage_error(error: click.UsageError, arguments: list[str]) -> InvalidError:
    verb = next((f" {argument}" for argument in arguments if argument in VERBS), "")
    hint = f"`ims{verb} --help` shows what it takes"
    return InvalidError(error.format_message().rstrip("."), code="usage", hint=hint)


def _os_error(error: OSError) -> ImsError:
    about = f"{error.filename}: " if error.filename else ""
    return ImsError(f"{about}{error.strerror or error}", code="os-error")


def _escape_what_cannot_be_encoded() -> None:
    """A guest's odd file name must not end a listing on a terminal that knows Latin-1 only."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
