"""``inject-files``."""

from __future__ import annotations

import click

from ims_cli.connection import connect
from ims_cli.options import pool_options, timeout_option
from ims_cli.output import emit

__all__ = ["inject_files"]


@click.command("inject-files")
@click.argument("name")
@click.option(
    "--file",
    "files",
    multiple=True,
    required=True,
    metavar="GUEST_PATH=FILE[:MODE]",
    help="A file to be put into the guest, mode 0644 if absent. Repeatable.",
)
@click.option(
    "--owner",
    default="root:root",
    show_default=True,
    metavar="USER[:GROUP]",
    help="Of all these files: names of the guest, or numbers.",
)
@timeout_option(300, "Give up after this time; there is never half a file.")
@pool_options
def inject_files(
    *,
    name: str,
    files: tuple[str, ...],
    owner: str,
    timeout: float,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
) -> None:
    """Put files into the disk of a VM that is off.

    The guest need not be told anything and need not have anything to read it: libguestfs does it
    on this machine. The files are no part of the VM's context.
    """
    from ims_cli.context_values import files_of  # noqa: PLC0415 - not for --help

    found = files_of(files, owner)
    with connect(quiet=quiet) as ims:
        ims.inject_files(name, found, timeout=timeout, provider=provider, pool=pool)
    emit({"name": name, "files": [each.path for each in found]}, output, lambda: ())
