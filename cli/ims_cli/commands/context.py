"""``show-context`` and ``update-context``."""

from __future__ import annotations

from typing import Unpack

import click

from ims_cli.connection import connect
from ims_cli.context_options import ContextWords, context_options
from ims_cli.describe import describe_context, summarize_vm
from ims_cli.options import pool_options, timeout_option
from ims_cli.output import emit
from ims_cli.plain import context_data, vm_details

__all__ = ["show_context", "update_context"]


@click.command("show-context")
@click.argument("name")
@click.option("--layout", default="", metavar="NAME", help="Instead of the VM's own.")
@click.option("--reveal", is_flag=True, help="With secrets, and what may hold some.")
@pool_options
def show_context(
    *, name: str, layout: str, reveal: bool, provider: str, pool: str, output: str, quiet: bool
) -> None:
    """Show what a VM's guest is told, file by file.

    It is what the next start delivers. The values of secrets, password hashes, private keys, the
    contents of files and scripts and raw user-data are left out unless --reveal is given.
    """
    with connect(quiet=quiet) as ims:
        shown = ims.show_context(name, layout=layout, reveal=reveal, provider=provider, pool=pool)
    emit(context_data(shown), output, lambda: describe_context(shown))


@click.command("update-context")
@click.argument("name")
@context_options
@click.option(
    "--unset",
    multiple=True,
    metavar="KEY",
    help="A property or a secret that goes away. Repeatable.",
)
@click.option(
    "--wait",
    type=click.Choice(("running", "ready")),
    help="How far to wait; for the guest's receipt if absent and one can come.",
)
@timeout_option(60, "Give up waiting after this time; the new context is kept.")
@pool_options
def update_context(
    *,
    name: str,
    unset: tuple[str, ...],
    wait: str | None,
    timeout: float,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
    **words: Unpack[ContextWords],
) -> None:
    """Change what a VM's guest is told.

    What is given is added, or replaces what has the same name, path or type; all else stays. A
    running guest that watches for it is told at once and answers; any other at its next start.
    """
    from ims_cli.context_values import changed  # noqa: PLC0415 - not for --help

    if not (unset or any(words.values())):
        raise click.UsageError("say what is to be changed, as with --set KEY=VALUE")
    with connect(quiet=quiet) as ims:
        vm = ims.update_context(
            name,
            lambda context: changed(context, words, unset),
            wait=wait,
            timeout=timeout,
            provider=provider,
            pool=pool,
        )
    emit(vm_details(vm, evidence=vm.receipt is not None), output, lambda: summarize_vm(vm))
