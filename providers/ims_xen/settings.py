"""The settings of a xen pool. Imported only when there is something to validate."""

from __future__ import annotations

from pydantic import Field

from ims_dom0.settings import Dom0Settings

__all__ = ["Settings"]


class Settings(Dom0Settings):
    """What a xen pool can be told."""

    directory: str = Field(
        default="/var/lib/ims",
        pattern=r"^/[A-Za-z0-9._/-]+$",
        description="Where VMs and templates are kept in the dom0; made when it is missing.",
    )
    rackspace_keys: bool = Field(
        default=False,
        description="Also write vm-data/hostname and vm-data/networking/MAC to xenstore, which the"
        " agents of Rackspace's images read.",
    )
