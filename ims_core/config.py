"""``ims.toml``: pools and their settings; and where configuration and state lie.

.. code-block:: toml

    default_pool = "lab"

    [pools.lab]
    provider = "kvm"
    template = "debian12"       # used when create-vm names none
    mac_scheme = "scripts"      # only where guests take their address from their MAC
    uri = "qemu+ssh://root@lab.example/system"

What is not ``provider``, ``template`` or ``mac_scheme`` is the provider's own, and validated by its
``settings()`` model. With no file at all, every installed provider has one pool of its own name.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ims_core.errors import ConfigError, InvalidError, NotFoundError
from ims_core.names import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Config", "Pool", "config_path", "load_config", "state_dir"]

DEFAULT_PROVIDER = "kvm"
_OWN = ("provider", "template", "mac_scheme")
_MAC_SCHEMES = ("", "guide", "scripts")


@dataclass(frozen=True, slots=True)
class Pool:
    """One configured endpoint of a provider.

    Attributes:
        template: Name of the template used when none is asked for; may be empty.
        mac_scheme: By which a card's MAC tells its address (:mod:`ims_bootparams.macs`); empty:
            by none.
        settings: The provider's own settings, not validated yet.
    """

    name: str
    provider: str
    template: str = ""
    mac_scheme: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Config:
    """All pools, and which one is meant when none is named."""

    pools: Mapping[str, Pool] = field(default_factory=dict)
    default_pool: str = ""

    def pool(self, *, name: str = "", provider: str = "") -> Pool:
        """The pool that a caller means.

        A pool's name wins. A provider means the default pool if it is of that provider, else the
        first of that provider, else one with the provider's name and no settings.

        Raises:
            NotFoundError: ``pool-not-found``.
            ConfigError: The pool is of another provider than the one named.
        """
        if name:
            return self._named(name, provider)
        if not provider:
            if self.default_pool:
                return self.pools[self.default_pool]
            provider = DEFAULT_PROVIDER if not self.pools else ""
        candidates = [pool for pool in self.pools.values() if provider in ("", pool.provider)]
        for pool in candidates:
            if pool.name == self.default_pool:
                return pool
        return candidates[0] if candidates else Pool(provider, provider)

    def _named(self, name: str, provider: str) -> Pool:
        pool = self.pools.get(name)
        if pool is None:
            raise NotFoundError(
                f"there is no pool {name!r}",
                code="pool-not-found",
                hint=f"pools in {config_path()}: {', '.join(self.pools) or 'none'}",
            )
        if provider and pool.provider != provider:
            raise ConfigError(
                f"pool {name!r} is of provider {pool.provider!r}, not {provider!r}",
                hint="leave --provider out, or name another pool",
            )
        return pool


def config_path() -> Path:
    """``IMS_CONFIG``, or ``ims.toml`` in the platform's configuration directory."""
    if given := os.environ.get("IMS_CONFIG"):
        return Path(given)
    from platformdirs import user_config_path  # noqa: PLC0415 - only without IMS_CONFIG

    return user_config_path("ims") / "ims.toml"


def state_dir() -> Path:
    """``IMS_STATE``, or the platform's state directory."""
    if given := os.environ.get("IMS_STATE"):
        return Path(given)
    from platformdirs import user_state_path  # noqa: PLC0415 - only without IMS_STATE

    return user_state_path("ims")


def load_config(path: Path | None = None) -> Config:
    """Read ``ims.toml``; a missing file is an empty configuration.

    Raises:
        ConfigError: The file cannot be read or does not say what it must; names the key.
    """
    path = path or config_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}", hint="IMS_CONFIG may name another file"
        ) from error
    try:
        return _parse(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except InvalidError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from None


def _parse(document: Mapping[str, Any]) -> Config:
    if unknown := set(document) - {"default_pool", "pools"}:
        raise ConfigError(f"unknown key {min(unknown)!r}; known: default_pool, pools")
    tables = document.get("pools", {})
    if not isinstance(tables, dict):
        raise ConfigError("pools must be a table: [pools.NAME]")
    pools = {name: _parse_pool(name, table) for name, table in tables.items()}
    default = document.get("default_pool", "")
    if not isinstance(default, str):
        raise ConfigError("default_pool must be a string: the name of a pool")
    if default and default not in pools:
        raise ConfigError(f"default_pool {default!r} is not one of the pools")
    return Config(pools, default)


def _parse_pool(name: str, table: object) -> Pool:
    check_name("pool", name)
    if not isinstance(table, dict):
        raise ConfigError(f"pools.{name} must be a table: [pools.{name}]")
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
