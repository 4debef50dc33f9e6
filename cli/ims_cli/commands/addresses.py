"""``get-ip`` and ``set-ip``."""

from __future__ import annotations

import click

from ims_cli.addresses import by_source
from ims_cli.connection import connect
from ims_cli.options import pool_options
from ims_cli.output import emit
from ims_cli.plain import address_data
from ims_cli.table import columns

__all__ = ["get_ip", "set_ip"]

_OFF = ("defined", "stopped", "crashed")


@click.command("get-ip")
@click.argument("name")
@pool_options
def get_ip(*, name: str, provider: str, pool: str, output: str, quiet: bool) -> None:
    """Show a VM's addresses, and who says so.

    One address on each line, then its sources; no line if no source knows one.
    """
    with connect(quiet=quiet) as ims:
        found = ims.get_addresses(name, provider=provider, pool=pool)
    emit(
        [address_data(address) for address in found],
        output,
        lambda: columns(("", ""), by_source(found)),
    )


@click.command("set-ip")
@click.argument("name")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS[/PREFIX]]...")
@click.option("--dhcp", is_flag=True, help="No static address any more.")
@click.option(
    "--interface",
    "card",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Which card, counted from 0.",
)
@pool_options
def set_ip(
    *,
    name: str,
    addresses: tuple[str, ...],
    dhcp: bool,
    card: int,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
) -> None:
    """Give a VM's card static addresses, or DHCP.

    They replace those it had. The guest learns them at its next start.
    """
    if dhcp == bool(addresses):
        raise click.UsageError("give addresses or --dhcp, one of the two")
    with connect(quiet=quiet) as ims:
        vm = ims.set_addresses(name, addresses, card=card, provider=provider, pool=pool)
    running = vm.state not in _OFF
    data = {
        "name": vm.name,
        "pool": vm.pool,
        "state": str(vm.state),
        "interface": card,
        "dhcp": dhcp,
        "pending_addresses": list(vm.pending),
    }
    when = "pending until next start" if running else "takes effect at the next start"
    told = "DHCP" if dhcp else ", ".join(vm.pending)
    emit(data, output, lambda: [f"{vm.name} interface {card}: {told}, {when}"])
