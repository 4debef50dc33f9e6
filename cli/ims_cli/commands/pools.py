"""``create-pool``, ``list-pools`` and ``delete-pool``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ims_cli.options import output_option
from ims_cli.output import emit
from ims_cli.plain import pool_data
from ims_cli.table import columns, fields

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["create_pool", "delete_pool", "list_pools"]

_SHOWN = ("name", "provider", "default", "template", "groups")


@click.command("create-pool")
@click.argument("name")
@click.option("--provider", required=True, metavar="NAME", help="What drives it.")
@click.option("--template", default="", metavar="NAME", help="Used when create-vm names none.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the provider: a TOML value, or else a text. Repeatable.",
)
@click.option("--default", is_flag=True, help="Use it where no pool is named.")
@output_option
def create_pool(
    *,
    name: str,
    provider: str,
    template: str,
    settings: tuple[str, ...],
    default: bool,
    output: str,
) -> None:
    """Write a pool into ims.toml.

    The provider must find its settings right; `ims show-provider` describes them. Comments and
    layout of the file stay as they are. `ims check --pool NAME` then looks whether it can be used.
    """
    from ims_core.config import load_config  # noqa: PLC0415 - not for --help
    from ims_core.service import pools  # noqa: PLC0415

    pools.create_pool(
        name, provider, template=template, settings=_parsed(settings), default=default
    )
    config = load_config()
    data = pool_data(config, config.pool(name=name))
    emit(data, output, lambda: fields(_readable(data).items()))


@click.command("list-pools")
@output_option
def list_pools(*, output: str) -> None:
    """List the pools of ims.toml.

    The default is the pool that is used where none is named.
    """
    from ims_core.config import load_config  # noqa: PLC0415 - not for --help

    config = load_config()
    data = [pool_data(config, pool) for pool in config.pools.values()]
    rows = [list(_readable(each).values()) for each in data]
    emit(data, output, lambda: columns([each.upper() for each in _SHOWN], rows))


@click.command("delete-pool")
@click.argument("name")
@output_option
def delete_pool(*, name: str, output: str) -> None:
    """Take a pool out of ims.toml.

    Only that: its VMs and templates stay as they are, and the pool can be created again.
    """
    from ims_core.config import config_path  # noqa: PLC0415 - not for --help
    from ims_core.service import pools  # noqa: PLC0415

    pools.delete_pool(name)
    text = f"{name} is no longer in {config_path()}; its VMs and templates stay as they are"
    emit({"name": name, "deleted": True}, output, lambda: [text])


def _readable(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "groups": ", ".join(data["groups"]) or None}


def _parsed(settings: Iterable[str]) -> dict[str, Any]:
    """``KEY=VALUE`` words as settings; one that is not complete is not repeated, as a secret."""
    from ims_core.config.edit import toml_value  # noqa: PLC0415 - not for --help
    from ims_core.errors import InvalidError  # noqa: PLC0415

    found: dict[str, Any] = {}
    for word in settings:
        key, equals, text = word.partition("=")
        if not (key and equals):
            raise InvalidError("--set is not complete", hint="write --set KEY=VALUE")
        if key in found:
            raise InvalidError(f"--set {key!r} comes twice", hint="keep one of them")
        found[key] = toml_value(text)
    return found
