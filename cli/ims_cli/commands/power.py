"""``pause-vm``, ``suspend-vm``, ``resume-vm`` and ``reboot-vm``."""

from __future__ import annotations

import click

from ims_cli.connection import connect
from ims_cli.describe import summarize_vm
from ims_cli.options import EVIDENCE, pool_options, timeout_option, wait_option
from ims_cli.output import emit
from ims_cli.plain import vm_details

__all__ = ["pause_vm", "reboot_vm", "resume_vm", "suspend_vm"]


@click.command("pause-vm")
@click.argument("name")
@timeout_option(60, "Give up after this time, if the VM is busy.")
@pool_options
def pause_vm(
    *, name: str, timeout: float, provider: str, pool: str, output: str, quiet: bool
) -> None:
    """Hold a VM's CPUs; resume-vm lets it go on.

    Its memory stays where it is, so this is quick and saves nothing: suspend-vm does. A VM that is
    paused already is left so.
    """
    with connect(quiet=quiet) as ims:
        ims.pause_vm(name, provider=provider, pool=pool, timeout=timeout)
    emit({"name": name, "state": "paused"}, output, lambda: [f"{name} is paused"])


@click.command("suspend-vm")
@click.argument("name")
@timeout_option(300, "Give up after this time, if the VM is busy.")
@pool_options
def suspend_vm(
    *, name: str, timeout: float, provider: str, pool: str, output: str, quiet: bool
) -> None:
    """Save a VM's memory to disk, and take its power away.

    A VM that is suspended already is left so.
    """
    with connect(quiet=quiet) as ims:
        ims.suspend_vm(name, provider=provider, pool=pool, timeout=timeout)
    emit({"name": name, "state": "suspended"}, output, lambda: [f"{name} is suspended"])


@click.command("resume-vm")
@click.argument("name")
@wait_option("running", "address")
@timeout_option(300, "Give up waiting after this time; the VM stays.")
@pool_options
def resume_vm(
    *,
    name: str,
    wait: str,
    timeout: float,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
) -> None:
    """Let a suspended or paused VM go on where it was.

    One that runs is left so. What is pending for its next
    start stays pending.
    """
    with connect(quiet=quiet) as ims:
        vm = ims.resume_vm(name, provider=provider, pool=pool, wait=wait, timeout=timeout)
    data = vm_details(vm, evidence=wait in EVIDENCE)
    emit(data, output, lambda: summarize_vm(vm))


@click.command("reboot-vm")
@click.argument("name")
@click.option("--force", is_flag=True, help="Take the power away instead of asking the guest.")
@wait_option("running", "address", "ready")
@timeout_option(300, "Give up after this time, for the stop and the start; the VM stays.")
@pool_options
def reboot_vm(
    *,
    name: str,
    force: bool,
    wait: str,
    timeout: float,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
) -> None:
    """Stop a VM and start it again.

    The guest finds its context in place, with what was pending for its next start.
    """
    with connect(quiet=quiet) as ims:
        vm = ims.reboot_vm(
            name, provider=provider, pool=pool, force=force, wait=wait, timeout=timeout
        )
    data = vm_details(vm, evidence=wait in EVIDENCE)
    emit(data, output, lambda: summarize_vm(vm))
