"""``clone-vm``."""

from __future__ import annotations

import click

from ims_cli.connection import connect
from ims_cli.describe import summarize_vm
from ims_cli.options import EVIDENCE, pool_options, timeout_option, wait_option
from ims_cli.output import emit
from ims_cli.plain import vm_details

__all__ = ["clone_vm"]


@click.command("clone-vm")
@click.argument("source")
@click.argument("name", default="")
@click.option(
    "--ip",
    "ips",
    multiple=True,
    metavar="ADDR[/PREFIX]",
    help="Static address of the first card; DHCP if absent. Repeatable.",
)
@wait_option()
@timeout_option(300, "Give up and remove the new VM again after this time.")
@pool_options
def clone_vm(
    *,
    source: str,
    name: str,
    ips: tuple[str, ...],
    wait: str,
    timeout: float,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
) -> None:
    """Make a VM from the disk of another one.

    The source must be off, and stays as it is. The new VM is told what the source is, under its own
    name, with its own MACs and addresses, and without the source's --host-key. A free name is made
    up if none is given. If anything goes wrong, or on Ctrl-C, nothing is left behind.
    """
    with connect(quiet=quiet) as ims:
        vm = ims.clone_vm(
            source, name, addresses=ips, provider=provider, pool=pool, wait=wait, timeout=timeout
        )
    data = vm_details(vm, evidence=wait in EVIDENCE)
    emit(data, output, lambda: summarize_vm(vm))
