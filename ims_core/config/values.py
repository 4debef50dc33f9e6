"""Values of ``ims.toml`` that are alike in several of its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ims_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["known_keys", "pool_names", "texts"]


def known_keys(where: str, table: Mapping[str, Any], keys: Collection[str]) -> None:
    """Refuse a table with a key that nothing reads.

    Raises:
        ConfigError: Names the key.
    """
    if unknown := set(table) - set(keys):
        raise ConfigError(f"{where}.{min(unknown)} is not known", hint=f"known: {', '.join(keys)}")


def texts(where: str, value: object) -> tuple[str, ...]:
    """A string, or a list of strings, without repetitions.

    Raises:
        ConfigError: It is neither.
    """
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise ConfigError(f"{where} must be a string, or a list of strings")
    return tuple(dict.fromkeys(values))


def pool_names(where: str, value: object, pools: Collection[str]) -> tuple[str, ...]:
    """The ``pools`` of a table: a list of pools that exist.

    Raises:
        ConfigError: It is empty, or names a pool that is not there.
    """
    names = texts(f"{where}.pools", value)
    if not names:
        raise ConfigError(f"{where}.pools is empty", hint="name at least one pool")
    for name in names:
        if name not in pools:
            raise ConfigError(
                f"{where}.pools: there is no pool {name!r}",
                hint=f"pools: {', '.join(pools) or 'none'}",
            )
    return names
