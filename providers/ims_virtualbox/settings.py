"""The settings of a virtualbox pool. Imported only when there is something to validate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ims_shell.settings import ShellSettings

__all__ = ["Settings"]

_KINDS = "bridged|hostonly|hostonlynet|natnetwork|intnet"
_NETWORK = rf"^(nat|({_KINDS}):[A-Za-z0-9 ._:()#+-]{{1,64}})$"
_PORTS = r"^[1-9][0-9]{0,4}-[1-9][0-9]{0,4}$"
_HIGHEST_PORT = 65535


class Settings(ShellSettings):
    """What a virtualbox pool can be told."""

    user: str = Field(
        default="",
        description="Whom to log in as: VirtualBox's machines are each user's own. Empty: as"
        " ssh_config says, else root.",
    )
    directory: str = Field(
        default="~/.local/share/ims/virtualbox",
        pattern=r"^(~|/[A-Za-z0-9._-]+)(/[A-Za-z0-9._-]+)*$",
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

    @model_validator(mode="after")
    def _ports_in_order(self) -> Settings:
        first, last = (int(each) for each in self.ssh_ports.split("-"))
        if not first <= last <= _HIGHEST_PORT:
            raise ValueError(f"ssh_ports {self.ssh_ports!r} is no range of ports, as 2200-2999")
        return self
