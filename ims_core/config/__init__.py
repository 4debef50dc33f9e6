"""``ims.toml``: pools, networks and groups; and where configuration and state lie.

.. code-block:: toml

    default_pool = "lab"

    [pools.lab]
    provider = "kvm"
    template = "debian12"       # used when create-vm names none
    mac_scheme = "scripts"      # only where guests take their address from their MAC
    uri = "qemu+ssh://root@lab.example/system"

    [networks.office]
    cidr = ["10.1.2.0/24", "2001:db8:7::/64"]
    gateway = "10.1.2.1"
    dns = "10.1.2.1"
    range = "10.1.2.100-10.1.2.199"
    network = "bridge:br0"      # what the hypervisor calls it; the name above if absent

    [groups.all]
    pools = ["lab"]
    strategy = "spread"

What a pool's table has besides ``provider``, ``template`` and ``mac_scheme`` is the provider's own,
and validated by its ``settings()`` model. With no file at all, every installed provider has one
pool of its own name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ims_core.config.load import load_config, parse_config
from ims_core.config.model import Config, Pool
from ims_core.config.places import config_path, state_dir

if TYPE_CHECKING:
    from ims_core.config.groups import Group
    from ims_core.config.networks import Network

__all__ = [
    "Config",
    "Group",
    "Network",
    "Pool",
    "config_path",
    "load_config",
    "parse_config",
    "state_dir",
]

_LATER = {"Group": "ims_core.config.groups", "Network": "ims_core.config.networks"}


def __getattr__(name: str) -> Any:
    """Import what most commands do not need on first use (PEP 562)."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
