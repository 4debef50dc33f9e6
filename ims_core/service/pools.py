"""Pools made and removed: an entry of ``ims.toml``, and nothing on any hypervisor."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ims_core.config import config_path, state_dir
from ims_core.config.edit import add_pool, remove_pool
from ims_core.errors import InvalidError
from ims_core.names import check_name
from ims_core.registry import provider_class
from ims_core.service.session import validated_settings
from ims_core.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ims_core.config import Pool

__all__ = ["create_pool", "delete_pool"]

_KEY = re.compile(r"[A-Za-z0-9_-]{1,63}")
_PASSWORD = re.compile(r"://[^/?#@\s]*:[^/?#\s]+@")


def create_pool(
    name: str,
    provider: str,
    *,
    template: str = "",
    settings: Mapping[str, Any] | None = None,
    default: bool = False,
    config: Path | None = None,
    state: Path | None = None,
) -> None:
    """Write a pool into ``ims.toml``, once its provider has found the settings right.

    Nothing is connected to; ``ims check`` does that.

    Args:
        name: Of the pool.
        provider: Name of the provider that drives it.
        template: Name of the template used when none is asked for; need not exist yet.
        settings: The provider's own, and ``mac_scheme``.
        default: Whether it becomes the default pool.
        config: The configuration file; ``IMS_CONFIG`` or the platform's place if None.
        state: The state directory, as for :class:`~ims_core.Ims`, where valid settings are kept.

    Raises:
        ConflictError: ``pool-exists``, ``config-busy``.
        NotFoundError: ``provider-not-found``.
        ConfigError: A setting is not valid, or the file is not.
        InvalidError: A name is not valid; ``password-in-config``: a URL has one in it.
    """
    cls = provider_class(provider)
    given = dict(settings or {})
    _check_settings(given)
    table = {"provider": provider, **given}
    if template:
        table = {"provider": provider, "template": check_name("template", template), **given}

    def check(pool: Pool) -> None:
        with closing(SqliteStore(state or state_dir())) as store:
            validated_settings(cls, pool, store)

    add_pool(config or config_path(), name, table, default=default, check=check)


def delete_pool(name: str, *, config: Path | None = None) -> None:
    """Take a pool out of ``ims.toml``. Its VMs and templates stay as they are.

    Args:
        name: Of the pool.
        config: The configuration file; ``IMS_CONFIG`` or the platform's place if None.

    Raises:
        NotFoundError: ``pool-not-found``.
        ConflictError: ``pool-in-use``: the default pool, a group or a network names it;
            ``config-busy``.
        ConfigError: The file is not valid.
    """
    remove_pool(config or config_path(), name)


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse keys that are no settings, and passwords; no value is repeated in an error."""
    for key, value in settings.items():
        if key in ("provider", "template"):
            raise InvalidError(f"{key} is not a setting", hint=f"give it as --{key}")
        if not _KEY.fullmatch(key):
            raise InvalidError(
                f"setting {key!r} is not a key", hint="use letters, digits, _ and - alone"
            )
        if any(_PASSWORD.search(text) for text in _texts(value)):
            raise InvalidError(
                f"setting {key} is a URL with a password in it",
                code="password-in-config",
                hint="leave it out: passwords are not kept in ims.toml, but in the environment,"
                " a file of your own or a keyring",
            )


def _texts(value: Any) -> Iterator[str]:
    """Every string in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in (*value, *value.values()):
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
