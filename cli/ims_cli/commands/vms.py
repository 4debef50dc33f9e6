"""``list-vms``, ``show-vm`` and ``metrics``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from ims_cli.connection import connect
from ims_cli.describe import describe_vm, list_of_vms
from ims_cli.options import pool_options
from ims_cli.output import emit
from ims_cli.plain import metrics_data, vm_data, vm_details
from ims_cli.table import columns

if TYPE_CHECKING:
    from ims_core.models import Metrics

__all__ = ["list_vms", "metrics", "show_vm"]

_METRICS = (
    "NAME",
    "TIME",
    "CPU",
    "VCPUS",
    "MEMORY USED",
    "MEMORY MAX",
    "DISK READ",
    "DISK WRITTEN",
    "NET IN",
    "NET OUT",
)


@click.command("list-vms")
@click.option("--all", "include_foreign", is_flag=True, help="Also those that IMS did not make.")
@pool_options
def list_vms(*, include_foreign: bool, provider: str, pool: str, output: str, quiet: bool) -> None:
    """List the VMs of a pool."""
    with connect(quiet=quiet) as ims:
        found = ims.list_vms(provider=provider, pool=pool, include_foreign=include_foreign)
    emit([vm_data(vm) for vm in found], output, lambda: list_of_vms(found, owner=include_foreign))


@click.command("show-vm")
@click.argument("name")
@pool_options
def show_vm(*, name: str, provider: str, pool: str, output: str, quiet: bool) -> None:
    """Show one VM, with its addresses and its receipt.

    The receipt is the guest's own answer: it is good when the guest read the very bytes of this
    start's context and could apply all of them.
    """
    with connect(quiet=quiet) as ims:
        vm = ims.show_vm(name, provider=provider, pool=pool)
    emit(vm_details(vm), output, lambda: describe_vm(vm))


@click.command("metrics")
@click.argument("names", nargs=-1)
@pool_options
def metrics(*, names: tuple[str, ...], provider: str, pool: str, output: str, quiet: bool) -> None:
    """Show what running VMs use.

    All VMs of the pool that IMS made, or the named ones. Counters are since the VM's start;
    `--output json` has them in bytes and seconds, and null for what the hypervisor cannot tell.
    """
    with connect(quiet=quiet) as ims:
        found = ims.metrics(names, provider=provider, pool=pool)
    emit(
        [metrics_data(each) for each in found],
        output,
        lambda: columns(_METRICS, [_row(each) for each in found]),
    )


def _row(each: Metrics) -> list[object]:
    from ims_core.units import format_size  # noqa: PLC0415 - for tables only

    return [
        each.name,
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each.timestamp)),
        None if each.cpu_seconds is None else f"{each.cpu_seconds:.1f} s",
        each.vcpus,
        format_size(each.memory_used_bytes),
        format_size(each.memory_max_bytes),
        format_size(each.disk_read_bytes),
        format_size(each.disk_write_bytes),
        format_size(each.net_rx_bytes),
        format_size(each.net_tx_bytes),
    ]
