"""The ``ims`` command group, which imports a verb's module only when the verb is run."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

import click

from ims_core import __version__

__all__ = ["VERBS", "Verb", "ims"]


class Verb(NamedTuple):
    """Where a verb lives in ``ims_cli.commands``, and the first line of its own help."""

    module: str
    help: str


VERBS = {
    "create-vm": Verb("create", "Create a VM from a template, start it and wait for it."),
    "clone-vm": Verb("clone", "Make a VM from the disk of another one."),
    "start-vm": Verb("lifecycle", "Start a VM."),
    "stop-vm": Verb("lifecycle", "Ask a VM's guest to stop, and wait until it has."),
    "pause-vm": Verb("power", "Hold a VM's CPUs; resume-vm lets it go on."),
    "suspend-vm": Verb("power", "Save a VM's memory to disk, and take its power away."),
    "resume-vm": Verb("power", "Let a suspended or paused VM go on where it was."),
    "reboot-vm": Verb("power", "Stop a VM and start it again."),
    "snapshot-vm": Verb("snapshots", "Keep what a VM is now, to put it back to that later."),
    "list-snapshots": Verb("snapshots", "List the snapshots of a VM."),
    "restore-snapshot": Verb("snapshots", "Put a VM back to what it was."),
    "delete-snapshot": Verb("snapshots", "Remove a snapshot; the VM stays as it is."),
    "delete-vm": Verb("lifecycle", "Remove a VM and everything that was made for it."),
    "adopt-vm": Verb("lifecycle", "Manage a VM that IMS, or this store, did not make."),
    "list-vms": Verb("vms", "List the VMs of a pool."),
    "show-vm": Verb("vms", "Show one VM, with its addresses and its receipt."),
    "metrics": Verb("vms", "Show what running VMs use."),
    "get-ip": Verb("addresses", "Show a VM's addresses, and who says so."),
    "set-ip": Verb("addresses", "Give a VM's card static addresses, or DHCP."),
    "show-context": Verb("context", "Show what a VM's guest is told, file by file."),
    "update-context": Verb("context", "Change what a VM's guest is told."),
    "inject-files": Verb("inject", "Put files into the disk of a VM that is off."),
    "watch": Verb("watch", "Renew the context of each VM that somebody else starts."),
    "console-vm": Verb("console", "Attach to a VM's console, or show what it printed last."),
    "import-template": Verb("templates", "Bring an image into a pool as a template."),
    "list-templates": Verb("templates", "List the templates of a pool."),
    "delete-template": Verb("templates", "Remove a template that no VM depends on."),
    "create-pool": Verb("pools", "Write a pool into ims.toml."),
    "list-pools": Verb("pools", "List the pools of ims.toml."),
    "delete-pool": Verb("pools", "Take a pool out of ims.toml."),
    "list-providers": Verb("providers", "List the installed providers."),
    "show-provider": Verb("providers", "Show what a provider can do, and its settings."),
    "new-provider": Verb("providers", "Write the package of a provider of your own."),
    "list-operations": Verb("operations", "List what was done, and how it ended."),
    "show-operation": Verb(
        "operations", "Show one operation: its phases, what it made, and its error."
    ),
    "recover": Verb("operations", "End what was cut short in a pool: complete it, or remove it."),
    "check": Verb("check", "Look at what a pool needs, and say how to mend it."),
}
"""Every verb, in the order of the help; a test proves that the lines are the verbs' own."""


class LazyGroup(click.Group):
    """A group whose help comes from :data:`VERBS` alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the table's order."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb."""
        del ctx
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        module = import_module(f"ims_cli.commands.{verb.module}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or name the one that was probably meant."""
        name = args[0]
        if name in VERBS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

        near = get_close_matches(name, VERBS, n=2)
        question = f"; did you mean {' or '.join(near)}?" if near else ""
        raise click.UsageError(f"there is no command {name!r}{question}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs with their lines out of the table."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Completion, for bash (zsh and fish likewise):
  eval "$(_IMS_COMPLETE=bash_source ims)"
""",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def ims() -> None:
    """Create virtual machines from templates, and tell each guest who it is.

    Results go to stdout, progress and messages to stderr. `ims COMMAND --help` tells more.
    """
