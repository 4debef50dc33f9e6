"""The options of ``create-vm`` and ``update-context`` that say what the guest is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ContextWords", "card_options", "context_options"]

F = TypeVar("F", bound="Callable[..., Any]")
Words = tuple[str, ...]


class CardWords(TypedDict, total=False):
    """What was said of the network cards, where that can be said."""

    network: str
    ips: Words
    interfaces: Words


class ContextWords(CardWords):
    """What was given on the command line, not looked at yet."""

    hostname: str
    ssh_keys: Words
    host_keys: Words
    users: Words
    properties: Words
    secrets: Words
    files: Words
    scripts: Words
    user_data: str
    seed_url: str


_CARDS = (
    click.option("--network", default="", metavar="NAME", help="Network of the first card."),
    click.option(
        "--ip",
        "ips",
        multiple=True,
        metavar="ADDR[/PREFIX]",
        help="Static address of the first card; DHCP if absent. Repeatable.",
    ),
    click.option(
        "--interface",
        "interfaces",
        multiple=True,
        metavar="KEY=VALUE,...",
        help="A further card: network, ip, gateway, dns, search, mac; ip, gateway, dns and search"
        " may come several times. Repeatable.",
    ),
)
_CONTEXT = (
    click.option(
        "--hostname", default="", help="The guest's name; the VM's if it was never given."
    ),
    click.option(
        "--ssh-key",
        "ssh_keys",
        multiple=True,
        metavar="FILE|LINE",
        help="Public key for the template's default user and every --user. Repeatable.",
    ),
    click.option(
        "--user",
        "users",
        multiple=True,
        metavar="NAME[:sudo]",
        help="A further account, with the --ssh-key keys. Repeatable.",
    ),
    click.option(
        "--host-key",
        "host_keys",
        multiple=True,
        metavar="FILE",
        help="Private key for the guest's SSH server, with FILE.pub beside it. Repeatable.",
    ),
    click.option(
        "--set",
        "properties",
        multiple=True,
        metavar="KEY=VALUE",
        help="A property for the guest's applications. Repeatable.",
    ),
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        metavar="KEY=FILE",
        help="The same, but secret: read from a file, or - for stdin, less one line end."
        " Repeatable.",
    ),
    click.option(
        "--file",
        "files",
        multiple=True,
        metavar="GUEST_PATH=FILE[:MODE]",
        help="A file to be written in the guest, mode 0644 if absent. Repeatable.",
    ),
    click.option(
        "--script",
        "scripts",
        multiple=True,
        metavar="FILE",
        help="A program the guest runs once, after all else was applied. Repeatable.",
    ),
    click.option("--user-data", default="", metavar="FILE", help="Raw user-data for cloud-init."),
    click.option(
        "--seed-url",
        default="",
        metavar="URL",
        help="Where the guest fetches all else, for the layout nocloud-net; you serve it.",
    ),
)


def context_options(function: F) -> F:
    """What can be said of every guest at any time, handed over as :class:`ContextWords`."""
    return _with(_CONTEXT, function)


def card_options(function: F) -> F:
    """What can be said of a guest's network cards when it is made."""
    return _with(_CARDS, function)


def _with(options: tuple[Callable[[F], F], ...], function: F) -> F:
    for option in reversed(options):
        function = option(function)
    return function
