"""``snapshot-vm``, ``list-snapshots``, ``restore-snapshot`` and ``delete-snapshot``."""

from __future__ import annotations

import click

from ims_cli.connection import connect
from ims_cli.describe import summarize_vm
from ims_cli.options import pool_options, timeout_option
from ims_cli.output import emit
from ims_cli.plain import snapshot_data, vm_details
from ims_cli.table import columns, time_in_utc

__all__ = ["delete_snapshot", "list_snapshots", "restore_snapshot", "snapshot_vm"]

_HEAD = ("NAME", "TAKEN", "MEMORY", "CURRENT", "OPERATION")


@click.command("snapshot-vm")
@click.argument("vm", metavar="NAME")
@click.option("--name", default="", metavar="SNAP", help="Of the snapshot; the time if absent.")
@timeout_option(300, "Give up after this time, if the VM is busy.")
@pool_options
def snapshot_vm(
    *, vm: str, name: str, timeout: float, provider: str, pool: str, output: str, quiet: bool
) -> None:
    """Keep what a VM is now, to put it back to that later.

    Its disks, and its memory if it runs, is paused or suspended; it stays what it is. The
    snapshots of a VM are deleted with it.
    """
    with connect(quiet=quiet) as ims:
        taken = ims.snapshot_vm(vm, name, provider=provider, pool=pool, timeout=timeout)
    told = f"snapshot {taken.name} of {vm} is taken"
    emit({"vm": vm, **snapshot_data(taken)}, output, lambda: [told])


@click.command("list-snapshots")
@click.argument("vm")
@pool_options
def list_snapshots(*, vm: str, provider: str, pool: str, output: str, quiet: bool) -> None:
    """List the snapshots of a VM.

    Oldest first. The current one is what the VM descends from directly.
    """
    with connect(quiet=quiet) as ims:
        found = ims.list_snapshots(vm, provider=provider, pool=pool)
    rows = [
        (each.name, time_in_utc(each.taken), each.memory, each.current, each.operation or None)
        for each in found
    ]
    emit([snapshot_data(each) for each in found], output, lambda: columns(_HEAD, rows))


@click.command("restore-snapshot")
@click.argument("vm")
@click.argument("snapshot")
@timeout_option(300, "Give up after this time, if the VM is busy.")
@pool_options
def restore_snapshot(
    *, vm: str, snapshot: str, timeout: float, provider: str, pool: str, output: str, quiet: bool
) -> None:
    """Put a VM back to what it was.

    What it is now is lost. The VM must not run. With a snapshot that has its memory it is suspended
    then, and resume-vm lets it go on; else it is off, and start-vm tells it what it was told since.
    """
    with connect(quiet=quiet) as ims:
        restored = ims.restore_snapshot(vm, snapshot, provider=provider, pool=pool, timeout=timeout)
    emit(vm_details(restored, evidence=False), output, lambda: summarize_vm(restored))


@click.command("delete-snapshot")
@click.argument("vm")
@click.argument("snapshot")
@timeout_option(300, "Give up after this time, if the VM is busy.")
@pool_options
def delete_snapshot(
    *, vm: str, snapshot: str, timeout: float, provider: str, pool: str, output: str, quiet: bool
) -> None:
    """Remove a snapshot; the VM stays as it is."""
    with connect(quiet=quiet) as ims:
        ims.delete_snapshot(vm, snapshot, provider=provider, pool=pool, timeout=timeout)
    data = {"vm": vm, "name": snapshot, "deleted": True}
    emit(data, output, lambda: [f"snapshot {snapshot} of {vm} is deleted"])
