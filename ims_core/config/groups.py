"""``[groups.NAME]`` of ``ims.toml``; imported only where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ims_core.config.values import known_keys, pool_names
from ims_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Group", "parse_groups"]

_DEFAULT = "spread"


@dataclass(frozen=True, slots=True)
class Group:
    """Several pools under one name, among which VMs are placed.

    Attributes:
        pools: Names of its pools, at least one.
        strategy: Name of the placement strategy (:mod:`ims_core.placement`), not looked up yet.
    """

    name: str
    pools: tuple[str, ...]
    strategy: str = _DEFAULT


def parse_groups(
    tables: Mapping[str, Mapping[str, Any]], pools: Collection[str]
) -> dict[str, Group]:
    """The groups by name.

    Args:
        tables: The ``groups`` table, whose names have been checked.
        pools: Names of the pools there are.

    Raises:
        ConfigError: Names the group, its key, and the fix.
    """
    return {name: _parse(name, table, pools) for name, table in tables.items()}


def _parse(name: str, table: Mapping[str, Any], pools: Collection[str]) -> Group:
    where = f"groups.{name}"
    known_keys(where, table, ("pools", "strategy"))
    if name in pools:
        raise ConfigError(f"{where}: a pool has that name too", hint="rename one of them")
    if "pools" not in table:
        raise ConfigError(f"{where}.pools is missing", hint='add: pools = ["NAME", "NAME"]')
    strategy = table.get("strategy", _DEFAULT)
    if not isinstance(strategy, str) or not strategy:
        raise ConfigError(
            f"{where}.strategy must be the name of a placement strategy",
            hint=f'as strategy = "{_DEFAULT}"',
        )
    return Group(name, pool_names(where, table["pools"], pools), strategy)
