"""``console-vm``."""

from __future__ import annotations

import os
from contextlib import closing

import click

from ims_cli.connection import connect
from ims_cli.messages import say
from ims_cli.options import pool_options, timeout_option
from ims_cli.output import emit
from ims_cli.text import harmless

__all__ = ["console_vm"]

_STDOUT = 1


@click.command("console-vm")
@click.argument("name")
@click.option("--log", is_flag=True, help="Print what the guest printed last, and end.")
@click.option(
    "--lines",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    metavar="N",
    help="With --log: this many of the last lines.",
)
@timeout_option(10, "Without a terminal: end this long after the end of stdin at the latest.")
@pool_options
def console_vm(
    *,
    name: str,
    log: bool,
    lines: int,
    timeout: float,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
) -> None:
    """Attach to a VM's console, or show what it printed last.

    Ctrl-] detaches. Without a terminal, stdin is sent to the guest and its answers go to stdout
    until it has been silent for a second: echo hostname | ims console-vm web01
    """
    with connect(quiet=quiet) as ims:
        if log:
            tail = ims.console_tail(name, lines=lines, provider=provider, pool=pool)
            data = {"name": name, "lines": list(tail)}
            emit(data, output, lambda: [harmless(line.expandtabs()) for line in tail])
            return
        with closing(ims.open_console(name, provider=provider, pool=pool)) as stream:
            from ims_cli import terminal  # noqa: PLC0415 - a log needs no termios

            source = terminal.descriptor_of_stdin()
            if source is None or not os.isatty(source):
                how = terminal.converse(stream, source, _STDOUT, limit=timeout)
            else:
                say(f"attached to {name}; Ctrl-] detaches")
                how = terminal.attach(stream, source, _STDOUT)
    if not quiet:
        say(f"\n{how}")
