"""The settings of a kvm pool."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Settings"]


class Settings(BaseModel):
    """What stands in a ``[pools.NAME]`` table of ``ims.toml`` with ``provider = "kvm"``."""

    model_config = ConfigDict(extra="forbid")

    uri: str = Field(
        default="",
        description="A libvirt connection URI, such as qemu:///system, qemu:///session or "
        "qemu+ssh://user@host/system. When empty: LIBVIRT_DEFAULT_URI, else qemu:///system if "
        "this user may open its socket, else qemu:///session.",
        examples=["qemu:///system"],
    )
    storage_pool: str = Field(
        default="default",
        min_length=1,
        description="The libvirt storage pool (of a type that holds files, such as dir) where "
        "templates and the disks of VMs lie.",
    )
    storage_path: str = Field(
        default="",
        description="Where on the hypervisor's host that storage pool is made if it does not "
        "exist. When empty: /var/lib/libvirt/images for a system connection, "
        "~/.local/share/libvirt/images for a session on this machine.",
    )
    network: str = Field(
        default="",
        description="The network of cards that name none: a libvirt network, bridge:NAME for a "
        "bridge of the host, or user for QEMU's own NAT. When empty: default for a system "
        "connection, user for a session.",
    )
