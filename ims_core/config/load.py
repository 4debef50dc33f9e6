"""Reading ``ims.toml``: every key is checked, and an error names the one that is wrong."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from ims_core.config.model import Config, Pool
from ims_core.config.places import config_path
from ims_core.errors import ConfigError, InvalidError
from ims_core.names import check_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from ims_core.config.groups import Group
    from ims_core.config.networks import Network

__all__ = ["load_config", "parse_config", "read_text"]

_KEYS = ("default_pool", "groups", "networks", "pools")
_OWN = ("provider", "template", "mac_scheme")
_MAC_SCHEMES = ("", "guide", "scripts")


def load_config(path: Path | None = None) -> Config:
    """Read ``ims.toml``; a missing file is an empty configuration.

    Raises:
        ConfigError: The file cannot be read or does not say what it must; names the key.
    """
    path = path or config_path()
    text = read_text(path)
    return Config() if text is None else parse_config(text, path)


def read_text(path: Path) -> str | None:
    """The file as it stands, line ends and all; None if there is none.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}", hint="IMS_CONFIG may name another file"
        ) from error


def parse_config(text: str, path: Path) -> Config:
    """What the text of an ``ims.toml`` says.

    Args:
        text: The whole file.
        path: Where it stands, or is going to; for messages alone.

    Raises:
        ConfigError: It does not say what it must; names the key.
    """
    try:
        return _parse(tomllib.loads(text))
    except InvalidError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from None
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError, or a number too long
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _parse(document: Mapping[str, Any]) -> Config:
    if unknown := set(document) - set(_KEYS):
        raise ConfigError(f"unknown key {min(unknown)!r}; known: {', '.join(_KEYS)}")
    pools = {name: _parse_pool(name, table) for name, table in _tables(document, "pools").items()}
    default = document.get("default_pool", "")
    if not isinstance(default, str):
        raise ConfigError("default_pool must be a string: the name of a pool")
    if default and default not in pools:
        raise ConfigError(f"default_pool {default!r} is not one of the pools")
    return Config(
        pools,
        default,
        networks=_parse_networks(_tables(document, "networks"), pools),
        groups=_parse_groups(_tables(document, "groups"), pools),
    )


def _tables(document: Mapping[str, Any], key: str) -> Mapping[str, Mapping[str, Any]]:
    tables = document.get(key, {})
    if not isinstance(tables, dict):
        raise ConfigError(f"{key} must be a table: [{key}.NAME]")
    for name, table in tables.items():
        check_name(key.removesuffix("s"), name)
        if not isinstance(table, dict):
            raise ConfigError(f"{key}.{name} must be a table: [{key}.{name}]")
    return tables


def _parse_pool(name: str, table: Mapping[str, Any]) -> Pool:
    own = {key: table.get(key, "") for key in _OWN}
    for key, value in own.items():
        if not isinstance(value, str):
            raise ConfigError(f"pools.{name}.{key} must be a string")
    if not own["provider"]:
        raise ConfigError(f"pools.{name}.provider is missing", hint='add: provider = "kvm"')
    if own["mac_scheme"] not in _MAC_SCHEMES:
        raise ConfigError(
            f"pools.{name}.mac_scheme: {own['mac_scheme']!r} is not known",
            hint=f"use one of {', '.join(filter(None, _MAC_SCHEMES))}, or leave it out",
        )
    settings = {key: value for key, value in table.items() if key not in own}
    return Pool(name, **own, settings=settings)


def _parse_groups(
    tables: Mapping[str, Mapping[str, Any]], pools: Collection[str]
) -> dict[str, Group]:
    if not tables:
        return {}
    from ims_core.config.groups import parse_groups  # noqa: PLC0415 - most files have none

    return parse_groups(tables, pools)


def _parse_networks(
    tables: Mapping[str, Mapping[str, Any]], pools: Collection[str]
) -> dict[str, Network]:
    if not tables:
        return {}
    from ims_core.config.networks import parse_networks  # noqa: PLC0415 - it needs ipaddress

    return parse_networks(tables, pools)
