"""``create-vm``."""

from __future__ import annotations

from typing import Any, Unpack

import click

from ims_cli.connection import connect
from ims_cli.context_options import ContextWords, card_options, context_options
from ims_cli.describe import summarize_vm
from ims_cli.options import EVIDENCE, pool_options, timeout_option, wait_option
from ims_cli.output import emit
from ims_cli.plain import vm_details

__all__ = ["create_vm"]


@click.command("create-vm")
@click.argument("name", default="")
@click.option("--template", default="", metavar="NAME", help="The pool's default if absent.")
@click.option("--memory", default="", metavar="SIZE", help="As 512M or 2G.")
@click.option("--vcpus", type=int, metavar="N", help="Virtual CPUs; 1 if absent.")
@click.option("--disk", default="", metavar="SIZE", help="As 10G; the template's size if absent.")
@card_options
@context_options
@click.option(
    "--opennebula-template", default="", metavar="FILE", help="A VM template of OpenNebula."
)
@click.option(
    "--opennebula-facts", default="", metavar="FILE", help="What that names and IMS cannot know."
)
@click.option("--context-layout", default="", metavar="NAME", help="Instead of the template's.")
@click.option("--context-carrier", default="", metavar="NAME", help="Instead of the provider's.")
@click.option("--group", default="", metavar="NAME", help="Place it among this group's pools.")
@click.option("--placement", default="", metavar="NAME", help="Strategy, instead of the group's.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only there. Repeatable.")
@click.option("--not-with", multiple=True, metavar="VM", help="Not where it is. Repeatable.")
@click.option("--needs", multiple=True, metavar="FEATURE", help="Of its provider. Repeatable.")
@wait_option()
@timeout_option(300, "Give up and remove the VM again after this time.")
@click.option("--count", type=click.IntRange(1), default=1, metavar="N", help="NAME-1 to NAME-N.")
@click.option("--request-id", default="", metavar="ID", help="The same ID makes one VM only.")
@click.option(
    "--keep-on-failure", is_flag=True, help="Keep the pieces, and tell how to remove them."
)
@click.option("--dry-run", is_flag=True, help="Print what the hypervisor would be told.")
@pool_options
def create_vm(
    *,
    name: str,
    template: str,
    memory: str,
    vcpus: int | None,
    disk: str,
    opennebula_template: str,
    opennebula_facts: str,
    context_layout: str,
    context_carrier: str,
    group: str,
    placement: str,
    hosts: tuple[str, ...],
    not_with: tuple[str, ...],
    needs: tuple[str, ...],
    wait: str,
    timeout: float,
    count: int,
    request_id: str,
    keep_on_failure: bool,
    dry_run: bool,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
    **words: Unpack[ContextWords],
) -> int:
    """Create a VM from a template, start it and wait for it.

    A free name is made up if none is given. If anything goes wrong, or on Ctrl-C, nothing is left
    behind; of several, those that are complete stay, and the exit status is that of the first
    that failed.
    """
    from ims_cli.context_values import build_context  # noqa: PLC0415 - not for --help
    from ims_core.units import parse_size  # noqa: PLC0415

    order: dict[str, Any] = {
        "provider": provider,
        "pool": pool,
        "template": template,
        "memory": parse_size("--memory", memory) if memory else 0,
        "vcpus": vcpus,
        "disk": parse_size("--disk", disk) if disk else 0,
        "context": build_context(words),
        "layout": context_layout,
        "carrier": context_carrier,
    }
    with connect(quiet=quiet) as ims:
        if opennebula_template:
            from ims_cli.opennebula import add_order, read_template  # noqa: PLC0415 - seldom

            networks = ims.config.networks.values()
            source = read_template(opennebula_template, opennebula_facts, networks)
            named = add_order(order, source)
            name = name or named
        elif opennebula_facts:
            raise click.UsageError("--opennebula-facts is for --opennebula-template")
        order["vcpus"] = 1 if order["vcpus"] is None else order["vcpus"]
        if dry_run:
            plan = ims.plan_vm(name, **order)
            emit({"plan": plan}, output, plan.splitlines)
            return 0
        if hosts or not_with or needs:
            from ims_core.placement import Constraints  # noqa: PLC0415 - seldom

            order["constraints"] = Constraints((), hosts, not_with, needs)
        order |= {"group": group, "placement": placement}
        order |= {"wait": wait, "timeout": timeout, "keep_on_failure": keep_on_failure}
        if count > 1:
            from ims_cli.several import create_several, report_several  # noqa: PLC0415 - seldom

            made = create_several(ims, name, count, request_id, order)
            return report_several(made, output, evidence=wait in EVIDENCE)
        vm = ims.create_vm(name, **order, request_id=request_id)
    data = vm_details(vm, evidence=wait in EVIDENCE)
    emit(data, output, lambda: summarize_vm(vm))
    return 0
