"""The settings of a virtualbox pool. Imported only when there is something to validate."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ims_shell.settings import ShellSettings

__all__ = ["Settings"]

_KINDS = "bridged|hostonly|hostonlynet|natnetwork|intnet"
_NETWORK = rf"^(nat|({_KINDS}):[A-Za-z0-9 ._:()#+-]{{1,64}})$"
_PORTS = r"^[1-9][0-9]{0,4}-[1-9][0-9]{0,4}$"
_HIGHEST_PORT = 65535
# VirtualBox would resolve `.` and `..`, and IMS not find its VMs where it made them.
_PART = r"\.{0,2}[A-Za-z0-9_-][A-Za-z0-9._-]*"
_PREFIXES = range(8, 29)


def _subnet(text: str) -> str:
    net = IPv4Network(text)
    if net.prefixlen not in _PREFIXES:
        raise ValueError(f"VirtualBox's NAT serves networks of /{_PREFIXES[0]} to /{_PREFIXES[-1]}")
    return str(net)


class Settings(ShellSettings):
    """What a virtualbox pool can be told."""

    user: str = Field(
        default="",
        description="Whom to log in as: VirtualBox's machines are each user's own. Empty: as"
        " ssh_config says, else root.",
    )
    directory: str = Field(
        default="~/.local/share/ims/virtualbox",
        pattern=rf"^(~|/{_PART})(/{_PART})*$",
        description="Where VMs and templates are kept on the VirtualBox host; made when it is"
        " missing. `~` is that user's home there.",
    )
    clone: Literal["linked", "full"] = Field(
        default="linked",
        description="Whether a VM's disk depends on its template's, or is a copy of its own.",
    )
    network: str = Field(
        default="nat",
        pattern=_NETWORK,
        description="The network of cards that name none: `nat`, or `bridged:`, `hostonly:`,"
        " `hostonlynet:`, `natnetwork:` or `intnet:` and a name.",
    )
    nat_subnet: Annotated[str, AfterValidator(_subnet)] = Field(
        default="10.0.2.0/24",
        description="The IPv4 network that `nat` is for a VM's first card. Each VM is alone there,"
        " but for VirtualBox's gateway (the second host) and name server (the third).",
    )
    ssh_ports: Annotated[str, Field(pattern=_PORTS)] = Field(
        default="2200-2999",
        description="Of these ports of the VirtualBox host's loopback, one leads to the SSH server"
        " of each VM whose first card is in `nat`.",
    )
    os_type: str = Field(
        default="Linux26_64",
        pattern=r"^[A-Za-z0-9_]{1,40}$",
        description="What VirtualBox takes the guests for, as `VBoxManage list ostypes` has it.",
    )

    paravirt: Literal["default", "none", "legacy", "minimal", "hyperv", "kvm"] = Field(
        default="default",
        description="What VirtualBox offers the guests' kernels, in VirtualBox's own words. Where"
        " that is itself in an emulated machine, only `none` is quick.",
    )

    @model_validator(mode="after")
    def _ports_in_order(self) -> Settings:
        first, last = (int(each) for each in self.ssh_ports.split("-"))
        if not first <= last <= _HIGHEST_PORT:
            raise ValueError(f"ssh_ports {self.ssh_ports!r} is no range of ports, as 2200-2999")
        return self
