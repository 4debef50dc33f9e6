"""How to reach a machine: what the settings of every pool can say that needs a shell there.

Imported only when there is something to validate.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ShellSettings"]


class ShellSettings(BaseModel):
    """The hypervisor's machine, and how to log in to it."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field(
        default="",
        description="Its machine: a host name, or an alias of ssh_config. Empty: this machine.",
    )
    user: str = Field(
        default="",
        description="Whom to log in as. Empty: as ssh_config says, else root.",
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=0, description="The SSH server's port. 0: as ssh_config says, else 22."
    )
    identity_file: str = Field(
        default="",
        description="The private key to log in with. Empty: as ssh_config says, the agent's, or"
        " the usual ones in ~/.ssh.",
    )
    known_hosts: str = Field(
        default="",
        description="A file with its SSH host key. Empty: as ssh_config says, else"
        " ~/.ssh/known_hosts. An unknown or changed key is refused.",
    )
    host_key: str = Field(
        default="",
        pattern=r"^(SHA256:[A-Za-z0-9+/]{43})?$",
        description="The fingerprint of the only host key that is accepted, as `ssh-keygen -l`"
        " shows it.",
    )
    ssh_config: str = Field(
        default="",
        description="Another ssh_config file than the user's and the machine's, or `none`.",
    )
