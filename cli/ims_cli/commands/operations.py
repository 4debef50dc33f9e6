"""``list-operations``, ``show-operation`` and ``recover``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ims_cli.connection import connect
from ims_cli.options import output_option, pool_options, quiet_option
from ims_cli.output import emit
from ims_cli.plain import operation_data, operation_details
from ims_cli.table import columns, fields, time_in_utc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_core.store import Operation

__all__ = ["list_operations", "recover", "show_operation"]


@click.command("list-operations")
@click.option("--pool", default="", metavar="NAME", help="Of this pool only.")
@click.option("--unfinished", is_flag=True, help="Only what runs or was cut short.")
@output_option
@quiet_option
def list_operations(*, pool: str, unfinished: bool, output: str, quiet: bool) -> None:
    """List what was done, and how it ended."""
    with connect(quiet=quiet) as ims:
        found = ims.list_operations(pool=pool, unfinished=unfinished)
    rows = [
        (each.id, each.kind, each.pool, each.subject, each.outcome, time_in_utc(each.started))
        for each in found
    ]
    emit(
        [operation_data(each) for each in found],
        output,
        lambda: columns(("OPERATION", "KIND", "POOL", "SUBJECT", "OUTCOME", "STARTED"), rows),
    )


@click.command("show-operation")
@click.argument("operation")
@output_option
@quiet_option
def show_operation(*, operation: str, output: str, quiet: bool) -> None:
    """Show one operation: its phases, what it made, and its error.

    OPERATION is its id, or the id of the request that it was given.
    """
    with connect(quiet=quiet) as ims:
        found = ims.show_operation(operation)
    emit(operation_details(found), output, lambda: _lines(found))


@click.command("recover")
@click.argument("operations", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--give-up", is_flag=True, help="Take OPERATIONS for ended; leave what they made.")
@pool_options
def recover(
    *,
    operations: tuple[str, ...],
    dry_run: bool,
    give_up: bool,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
) -> int:
    """End what was cut short in a pool: complete it, or remove it.

    Every verb does so first for the pool it uses. OPERATIONS, by their ids, are ended alone, in
    whatever pool they are, and may be such whose pieces were kept. The exit status is 1 if
    something could not be ended.
    """
    with connect(quiet=quiet or not dry_run) as ims:
        ended = ims.recover(
            operations, provider=provider, pool=pool, dry_run=dry_run, give_up=give_up
        )
    data = [{**operation_data(each.operation), "message": each.message} for each in ended]
    rows = [
        (each.operation.id, each.operation.kind, each.operation.subject, each.message)
        for each in ended
    ]
    emit(data, output, lambda: columns(("OPERATION", "KIND", "SUBJECT", "WHAT"), rows))
    left = any(each.operation.is_open for each in ended)
    return 1 if left and not dry_run else 0


def _lines(operation: Operation) -> Iterator[str]:
    yield from fields(
        [
            ("operation", operation.id),
            ("kind", operation.kind),
            ("pool", operation.pool),
            ("subject", operation.subject),
            ("vm", operation.vm or None),
            ("request", operation.request or None),
            ("outcome", operation.outcome),
            ("started", time_in_utc(operation.started)),
            ("ended", time_in_utc(operation.ended) if operation.ended else None),
            ("error", operation.error.get("message")),
            ("details", list(operation.error.get("details", ()))),
            (
                "phases",
                [
                    f"{time_in_utc(each.at)} {each.phase}: {each.message}"
                    for each in operation.steps
                ],
            ),
            ("resources", [f"{each.kind} {each.name}" for each in operation.resources]),
        ]
    )
