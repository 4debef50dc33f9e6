"""``list-providers``, ``show-provider`` and ``new-provider``."""

from __future__ import annotations

from shlex import quote
from textwrap import wrap
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import click

from ims_cli.options import output_option
from ims_cli.output import emit
from ims_cli.plain import plugin_data
from ims_cli.table import columns, fields
from ims_cli.text import harmless
from ims_core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_core.spi import Provider

__all__ = ["list_providers", "new_provider", "show_provider"]

_WIDTH = 90


@click.command("list-providers")
@output_option
def list_providers(*, output: str) -> None:
    """List the installed providers.

    A broken one is listed with the reason, and breaks nothing else.
    """
    from ims_core.registry import PROVIDERS, plugins  # noqa: PLC0415 - not for --help

    data = [plugin_data(plugin) for plugin in plugins(PROVIDERS)]
    rows = [(each["name"], each["distribution"], each["problem"]) for each in data]
    emit(data, output, lambda: columns(("NAME", "DISTRIBUTION", "PROBLEM"), rows))


@click.command("show-provider")
@click.argument("name")
@output_option
def show_provider(*, name: str, output: str) -> None:
    """Show what a provider can do, and its settings.

    The settings are the keys of its pools in ims.toml.
    """
    from ims_core.registry import provider_class  # noqa: PLC0415 - not for --help

    data = _provider_data(provider_class(name))
    emit(data, output, lambda: _lines(data))


@click.command("new-provider")
@click.argument("name")
@click.option(
    "--directory", default=".", show_default=True, metavar="DIR", help="Where ims-NAME is made."
)
@output_option
def new_provider(*, name: str, directory: str, output: str) -> None:
    """Write the package of a provider of your own.

    It works at once, with a hypervisor in memory in place of yours, and passes the conformance
    suite. Comments with YOURS: stand where your code goes; its README tells how to go on.
    """
    from pathlib import Path  # noqa: PLC0415 - not for --help

    from ims_cli.scaffolding import MARKER, checked_names, write_package  # noqa: PLC0415

    names = checked_names(name)
    written = write_package(names, Path(directory))
    folder = str(Path(directory, names.folder))
    data = {"name": name, "directory": folder, "files": [str(each) for each in written]}
    lines = [
        ("made", f"{folder}, {len(written)} files"),
        ("try it", f"cd {quote(folder)} && pip install --editable '.[test]' && pytest"),
        ("your code", f"grep -rn {MARKER} {quote(folder)}"),
    ]
    emit(data, output, lambda: fields(lines))


def _provider_data(cls: type[Provider]) -> dict[str, Any]:
    from ims_core.spi import OPTIONAL  # noqa: PLC0415 - not for --help

    features = cls.features
    return {
        "name": cls.name,
        "optional_features": {word: issubclass(cls, known) for word, known in OPTIONAL.items()},
        "carriers": [
            {
                "name": str(carrier),
                "max_bytes": limits.max_bytes,
                "max_value_bytes": limits.max_value_bytes or None,
                "live": limits.live,
            }
            for carrier, limits in features.carriers.items()
        ],
        "template_formats": list(features.template_formats),
        "address_sources": list(features.address_sources),
        "receipts": features.receipts,
        "boot_methods": list(features.boot_methods),
        "settings": _settings_data(cls),
    }


def _settings_data(cls: type[Provider]) -> list[dict[str, Any]]:
    from pydantic_core import to_jsonable_python  # noqa: PLC0415 - costs 50 ms

    return [
        {
            "name": field.alias or name,
            "type": _type_name(field.annotation),
            "required": field.is_required(),
            "default": None
            if field.is_required()
            else to_jsonable_python(field.get_default(call_default_factory=True), fallback=str),
            "description": field.description,
        }
        for name, field in cls.settings().model_fields.items()
    ]


def _type_name(annotation: Any) -> str:
    """``int``, ``str | None``, ``'a' | 'b'``: as it would be written, without modules."""
    if get_origin(annotation) is Literal:
        return " | ".join(repr(value) for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(_type_name(each) for each in get_args(annotation))
    if get_origin(annotation) is not None:
        inner = ", ".join(_type_name(each) for each in get_args(annotation))
        return f"{_type_name(get_origin(annotation))}[{inner}]"
    return "None" if annotation is NoneType else getattr(annotation, "__name__", str(annotation))


def _lines(data: dict[str, Any]) -> Iterator[str]:
    carriers = [
        f"{each['name']} (to {format_size(each['max_bytes'])}{', live' if each['live'] else ''})"
        for each in data["carriers"]
    ]
    optional = data["optional_features"]
    yield from fields(
        [
            ("name", data["name"]),
            ("features", ", ".join(word for word in optional if optional[word]) or None),
            ("lacks", ", ".join(word for word in optional if not optional[word]) or None),
            ("carriers", carriers),
            ("template formats", ", ".join(data["template_formats"]) or None),
            ("address sources", ", ".join(data["address_sources"]) or None),
            ("receipts", data["receipts"]),
            ("boot methods", ", ".join(data["boot_methods"]) or None),
        ]
    )
    for each in data["settings"]:
        given = "required" if each["required"] else f"default {_default(each['default'])}"
        yield ""
        yield harmless(f"setting {each['name']}, {given}")
        for text in (each["description"] or "", each["type"]):
            yield from (f"    {harmless(line)}" for line in wrap(text, _WIDTH))


def _default(value: Any) -> str:
    import json  # noqa: PLC0415 - a setting is written as it stands in TOML, which JSON mostly is

    return json.dumps(value)
