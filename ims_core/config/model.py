"""What ``ims.toml`` says, once it has been checked.

Every command needs pools. Networks and groups have modules of their own, imported where there are
some.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ims_core.config.places import config_path
from ims_core.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.config.groups import Group
    from ims_core.config.networks import Network

__all__ = ["Config", "Pool"]

DEFAULT_PROVIDER = "kvm"


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
    """All pools and which one is meant when none is named, the networks, and the groups."""

    pools: Mapping[str, Pool] = field(default_factory=dict)
    default_pool: str = ""
    networks: Mapping[str, Network] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)

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

    def network(self, pool: str, hypervisor_name: str) -> Network | None:
        """The configured network of a card, by its pool and what the hypervisor calls it."""
        for network in self.networks.values():
            if network.hypervisor_name == hypervisor_name and network.serves(pool):
                return network
        return None

    def group(self, name: str) -> Group:
        """The group of that name.

        Raises:
            NotFoundError: ``group-not-found``.
        """
        if name in self.groups:
            return self.groups[name]
        raise NotFoundError(
            f"there is no group {name!r}",
            code="group-not-found",
            hint=f"groups in {config_path()}: {', '.join(self.groups) or 'none'}",
        )

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
