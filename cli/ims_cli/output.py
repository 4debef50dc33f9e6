"""Results on stdout, in the format that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["FORMATS", "TABLE", "emit", "serialize", "wanted_output"]

TABLE = "table"
FORMATS = (TABLE, "json", "yaml")
_OPTION = "--output"


def emit(data: Any, output: str, table: Callable[[], Iterable[str]]) -> None:
    """Print a result.

    Args:
        data: The result as plain data, for ``json`` and ``yaml``.
        output: One of :data:`FORMATS`.
        table: Called for the lines of ``table`` alone.
    """
    text = "\n".join(table()) if output == TABLE else serialize(data, output)
    if text:
        click.echo(text)


def serialize(data: Any, output: str) -> str:
    """Plain data as JSON or YAML, in ASCII: nothing in it can upset a terminal or a pipe."""
    if output == "json":
        import json  # noqa: PLC0415 - a table needs none of these

        return json.dumps(data, indent=2)
    import yaml  # noqa: PLC0415

    return str(yaml.safe_dump(data, sort_keys=False)).rstrip("\n")


def wanted_output(arguments: Sequence[str]) -> str:
    """The format that a command line asks for, known even when the line is wrong."""
    given = TABLE
    for index, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == _OPTION:
            given = next(iter(arguments[index + 1 : index + 2]), given)
        elif argument.startswith(f"{_OPTION}="):
            given = argument.partition("=")[2]
    return given if given in FORMATS else TABLE
