"""``create-vm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from ims_cli.connection import connect
from ims_cli.context_options import ContextWords, context_options
from ims_cli.describe import summarize_vm
from ims_cli.options import EVIDENCE, pool_options, timeout_option, wait_option
from ims_cli.output import emit
from ims_cli.plain import vm_details

if TYPE_CHECKING:
    from ims_core.service.create import Order

__all__ = ["create_vm"]


@click.command("create-vm")
@click.argument("name", default="")
@click.option("--template", default="", metavar="NAME", help="The pool's default if absent.")
@click.option("--memory", default="", metavar="SIZE", help="As 512M or 2G.")
@click.option("--vcpus", type=int, default=1, show_default=True, metavar="N")
@click.option("--disk", default="", metavar="SIZE", help="As 10G; the template's size if absent.")
@context_options
@click.option("--context-layout", default="", metavar="NAME", help="Instead of the template's.")
@click.option("--context-carrier", default="", metavar="NAME", help="Instead of the provider's.")
@wait_option()
@timeout_option(300, "Give up and remove the VM again after this time.")
@click.option("--dry-run", is_flag=True, help="Print what the hypervisor would be told.")
@pool_options
def create_vm(
    *,
    name: str,
    template: str,
    memory: str,
    vcpus: int,
    disk: str,
    context_layout: str,
    context_carrier: str,
    wait: str,
    timeout: float,
    dry_run: bool,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
    **words: Unpack[ContextWords],
) -> None:
    """Create a VM from a template, start it and wait for it.

    A free name is made up if none is given. If anything goes wrong, or on Ctrl-C, nothing is left
    behind.
    """
    from ims_cli.context_values import build_context  # noqa: PLC0415
    from ims_core.models import Wait  # noqa: PLC0415 - not for --help
    from ims_core.service.create import Order  # noqa: PLC0415
    from ims_core.units import parse_size  # noqa: PLC0415

    order = Order(
        name=name,
        template=template,
        memory=parse_size("--memory", memory) if memory else 0,
        vcpus=vcpus,
        disk=parse_size("--disk", disk) if disk else 0,
        context=build_context(words),
        layout=context_layout,
        carrier=context_carrier,
        wait=Wait(wait),
    )
    if dry_run:
        _plan(order, provider=provider, pool=pool, output=output, quiet=quiet)
        return
    with connect(quiet=quiet) as ims:
        vm = ims.create_vm(
            order.name,
            provider=provider,
            pool=pool,
            template=order.template,
            memory=order.memory,
            vcpus=order.vcpus,
            disk=order.disk,
            context=order.context,
            layout=order.layout,
            carrier=order.carrier,
            wait=order.wait,
            timeout=timeout,
        )
    data = vm_details(vm, evidence=wait in EVIDENCE)
    emit(data, output, lambda: summarize_vm(vm))


def _plan(order: Order, *, provider: str, pool: str, output: str, quiet: bool) -> None:
    with connect(quiet=quiet) as ims:
        plan = ims.plan_vm(order, provider=provider, pool=pool)
    emit({"plan": plan}, output, plan.splitlines)
