"""``start-vm``, ``stop-vm``, ``delete-vm`` and ``adopt-vm``."""

from __future__ import annotations

import click

from ims_cli.connection import connect
from ims_cli.describe import summarize_vm
from ims_cli.options import EVIDENCE, pool_options, timeout_option, wait_option
from ims_cli.output import emit
from ims_cli.plain import vm_details

__all__ = ["adopt_vm", "delete_vm", "start_vm", "stop_vm"]


@click.command("start-vm")
@click.argument("name")
@wait_option("running", "address", "ready")
@timeout_option(300, "Give up waiting after this time; the VM stays.")
@pool_options
def start_vm(
    *,
    name: str,
    wait: str,
    timeout: float,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
) -> None:
    """Start a VM.

    The guest finds its context in place before its first instruction.
    """
    with connect(quiet=quiet) as ims:
        vm = ims.start_vm(name, provider=provider, pool=pool, wait=wait, timeout=timeout)
    data = vm_details(vm, evidence=wait in EVIDENCE)
    emit(data, output, lambda: summarize_vm(vm))


@click.command("stop-vm")
@click.argument("name")
@click.option("--force", is_flag=True, help="Take the power away instead of asking the guest.")
@timeout_option(60, "Give up after this time; the VM keeps running.")
@pool_options
def stop_vm(
    *,
    name: str,
    force: bool,
    timeout: float,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
) -> None:
    """Ask a VM's guest to stop, and wait until it has."""
    with connect(quiet=quiet) as ims:
        ims.stop_vm(name, provider=provider, pool=pool, force=force, timeout=timeout)
    emit({"name": name, "state": "stopped"}, output, lambda: [f"{name} is stopped"])


@click.command("delete-vm")
@click.argument("name")
@pool_options
def delete_vm(*, name: str, provider: str, pool: str, output: str, quiet: bool) -> None:
    """Remove a VM and everything that was made for it.

    Running or not, and without a further question.
    """
    with connect(quiet=quiet) as ims:
        ims.delete_vm(name, provider=provider, pool=pool)
    emit({"name": name, "deleted": True}, output, lambda: [f"{name} is deleted"])


@click.command("adopt-vm")
@click.argument("name")
@pool_options
def adopt_vm(*, name: str, provider: str, pool: str, output: str, quiet: bool) -> None:
    """Manage a VM that IMS, or this store, did not make.

    It gets this store's mark, and nothing else of it is changed. The disks of a VM that IMS did
    not make stay when it is deleted.
    """
    with connect(quiet=quiet) as ims:
        vm = ims.adopt_vm(name, provider=provider, pool=pool)
    emit(vm_details(vm, evidence=False), output, lambda: summarize_vm(vm))
