"""``reference.md``: commands, settings, errors."""

from __future__ import annotations

import ast
from inspect import cleandoc
from typing import TYPE_CHECKING

import click

from docs.pages import GENERATED, ROOT, in_tree
from ims_cli.group import ims as cli
from ims_core import errors
from ims_core.registry import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_core.errors import ImsError

__all__ = ["reference"]

SOURCES = ("ims_core", "providers", "bootparams", "cli")


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
    yield "Exit status, and `code` in `--output json`.\n"
    yield "| status | error | codes | |\n|---|---|---|---|"
    codes = _codes()
    for name in errors.__all__:
        cls: type[ImsError] = getattr(errors, name)
        used = sorted({cls.code, *codes.get(name, ())})
        listed = ", ".join(f"`{code}`" for code in used)
        retryable = " Worth trying again." if cls.retryable else ""
        first = (cls.__doc__ or "").strip().splitlines()[0]
        yield f"| {cls.exit_status} | {name} | {listed} | {first}{retryable} |"


def _codes() -> dict[str, set[str]]:
    """Every ``code="…"`` that is given to an error class, by class."""
    found: dict[str, set[str]] = {}
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    for word in node.keywords:
                        if word.arg == "code":
                            found.setdefault(node.func.id, set()).update(_texts(word.value))
    return found


def _texts(node: ast.expr) -> set[str]:
    """The strings an expression may be; a part that is only known when it runs is a star."""
    if isinstance(node, ast.JoinedStr):
        parts = (each.value if isinstance(each, ast.Constant) else "*" for each in node.values)
        return {"".join(map(str, parts))}
    return {str(each.value) for each in ast.walk(node) if isinstance(each, ast.Constant)}
