"""``reference.md``: commands, settings, errors."""

from __future__ import annotations

from inspect import cleandoc
from typing import TYPE_CHECKING

import click

from docs.pages import GENERATED, in_tree, marked_up
from docs.pages.codes import codes
from ims_cli.group import ims as cli
from ims_core import errors
from ims_core.registry import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_core.errors import ImsError

__all__ = ["reference"]


def reference() -> str:
    """The whole page."""
    parts = ["# Reference", "", GENERATED, ""]
    parts += [*_commands(), *_settings(), *_errors()]
    return "\n".join(parts) + "\n"


def _commands() -> Iterator[str]:
    yield "## Commands"
    context = click.Context(cli, info_name="ims")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if command is None:
            continue
        arguments = [
            p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)
        ]
        yield f"\n### {' '.join(['ims', name, *arguments])}\n"
        yield f"{cleandoc(command.help or '')}\n"
        yield "| option | |\n|---|---|"
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                yield f"| `{', '.join(option.opts)}` | {option.help or ''} |"
    yield ""


def _settings() -> Iterator[str]:
    yield "## Settings of a pool\n"
    yield "What stands in a `[pools.NAME]` table besides `provider`, `template` and `mac_scheme`."
    for plugin in in_tree(PROVIDERS):
        yield f'\n### provider = "{plugin.name}"\n'
        yield "| setting | default | |\n|---|---|---|"
        for name, field in plugin.loaded.settings().model_fields.items():
            yield f"| `{name}` | `{field.default!r}` | {field.description} |"
    yield ""


def _errors() -> Iterator[str]:
    yield "## Errors\n"
    yield "The exit status tells the kind, `code` in `--output json` the case.\n"
    yield "| status | error | |\n|---|---|---|"
    for name in errors.__all__:
        cls: type[ImsError] = getattr(errors, name)
        retryable = " Worth trying again." if cls.retryable else ""
        first = (cls.__doc__ or "").strip().splitlines()[0]
        yield f"| {cls.exit_status} | {name} | {marked_up(first)}{retryable} |"
    yield "\n### Codes\n"
    yield "Each with the words of one of the places that raise it; … stands for what only the case"
    yield "can tell.\n"
    yield "| code | error | as in | what to do |\n|---|---|---|---|"
    for code in codes():
        cells = (f"`{code.code}`", code.error, _cell(code.message), _cell(code.hint))
        yield f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Text of a program in a cell of a table."""
    return marked_up(text).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
