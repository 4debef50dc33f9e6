"""Options that are the same word in every verb."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ims_cli.output import FORMATS, TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "EVIDENCE",
    "WAITS",
    "output_option",
    "pool_options",
    "quiet_option",
    "seconds_type",
    "timeout_option",
    "wait_option",
]

F = TypeVar("F", bound="Callable[..., Any]")

WAITS = ("defined", "running", "address", "ready")
EVIDENCE = ("address", "ready")
"""The words of ``--wait`` with which the guest's addresses are asked for."""


def seconds_type(text: str) -> float:
    """A time of more than nothing and less than for ever."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds) and seconds > 0:
        return seconds
    raise click.BadParameter(f"{text!r} is not a number of seconds greater than 0")


def output_option(function: F) -> F:
    """``--output``."""
    return click.option(
        "--output",
        type=click.Choice(FORMATS),
        default=TABLE,
        show_default=True,
        help="Format of the result on stdout.",
    )(function)


def quiet_option(function: F) -> F:
    """``--quiet``."""
    return click.option(
        "-q", "--quiet", is_flag=True, help="No progress; warnings and errors only."
    )(function)


def pool_options(function: F) -> F:
    """``--provider``, ``--pool``, ``--output`` and ``--quiet``: what every pool's verb takes."""
    options = (
        click.option("--provider", default="", metavar="NAME", help="Use its default pool."),
        click.option("--pool", default="", metavar="NAME", help="Use this pool of ims.toml."),
        output_option,
        quiet_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


def timeout_option(default: int, what: str) -> Callable[[F], F]:
    """``--timeout``, with what ends when the time is over."""
    return click.option(
        "--timeout",
        type=seconds_type,
        default=default,
        show_default=True,
        metavar="SECONDS",
        help=what,
    )


def wait_option(*words: str) -> Callable[[F], F]:
    """``--wait``, with those words of :class:`ims_core.models.Wait` that make sense."""
    return click.option(
        "--wait",
        type=click.Choice(words or WAITS),
        default="running",
        show_default=True,
        help="How far to wait; ready means that the guest proved it read its context.",
    )
