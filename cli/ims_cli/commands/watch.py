"""``watch``."""

from __future__ import annotations

import json
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

import click

from ims_cli.connection import connect
from ims_cli.options import pool_options, seconds_type
from ims_cli.output import TABLE, serialize
from ims_cli.plain import watched_data
from ims_cli.table import time_in_utc
from ims_cli.text import harmless
from ims_core.errors import CancelledError

if TYPE_CHECKING:
    from ims_core.service.events import Watched

__all__ = ["watch"]


@click.command("watch")
@click.option("--for", "seconds", type=seconds_type, metavar="SECONDS", help="End after this time.")
@click.option(
    "--every",
    type=seconds_type,
    default=5,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks, where the hypervisor tells nothing by itself.",
)
@pool_options
def watch(
    *, seconds: float | None, every: float, provider: str, pool: str, output: str, quiet: bool
) -> None:
    """Renew the context of each VM that somebody else starts.

    So it does for one that has migrated here. It goes on until it is interrupted, which is no
    failure, and prints a line for each thing that it has seen and done; with --output json, an
    object on each line.
    """
    with suppress(CancelledError), connect(quiet=quiet) as ims:
        for each in ims.watch(
            provider=provider, pool=pool, seconds=inf if seconds is None else seconds, every=every
        ):
            click.echo(_line(each, output))


def _line(seen: Watched, output: str) -> str:
    if output == TABLE:
        words = (time_in_utc(seen.at), seen.what, seen.vm, seen.message)
        return harmless("  ".join(filter(None, words)))
    data = watched_data(seen)
    return json.dumps(data) if output == "json" else f"---\n{serialize(data, output)}"
