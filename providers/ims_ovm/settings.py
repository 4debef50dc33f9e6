"""The settings of an ovm pool. Imported only when there is something to validate."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ims_dom0.settings import Dom0Settings

__all__ = ["Settings"]

_MANAGER = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?")


class Settings(Dom0Settings):
    """What an ovm pool can be told. ``host`` is the dom0 of the server pool's master."""

    manager: str = Field(
        description="The Manager's web services, as http://HOST:8888 or https://HOST:4443, without"
        " a path and without a password.",
        examples=["http://ovm-manager.example:8888"],
    )
    manager_user: str = Field(default="admin", description="Whom to be to the Manager.")
    password_file: str = Field(
        default="",
        description="A file with that user's password, which only its owner may read. Empty: the"
        " environment variable IMS_OVM_PASSWORD.",
    )
    auth: Literal["basic", "wsse", "none"] = Field(
        default="basic",
        description="How the Manager learns who asks: HTTP's basic authentication, a user name"
        " token of WS-Security, or not at all. Which of them it takes is not publicly known.",
    )
    ca_file: str = Field(
        default="", description="Whom to trust for https. Empty: the usual authorities."
    )
    timeout: Annotated[float, Field(gt=0, le=600)] = Field(
        default=30.0, description="Seconds that one answer of the Manager may take."
    )
    server_pool: str = Field(
        default="", description="The Manager's server pool. Empty: the only one that it has."
    )
    directory: str = Field(
        default="/OVS",
        pattern=r"^/[A-Za-z0-9._/-]+$",
        description="The storage repository in the dom0.",
    )
    bootparams: Literal["replace", "mount", "manager"] = Field(
        default="replace",
        description="How bootparams.conf gets onto a VM's Bootparams.img: a new image is built here"
        " and takes the old one's place; or dom0 mounts the image; or the Manager is asked by its"
        " createPropertiesFileOnVirtualMachine, of which nobody knows what it does.",
    )
    rewrite_macs: bool = Field(
        default=True,
        description="Write the MACs of a VM's cards into its vm.cfg. If not, the Manager is told"
        " them when it makes the VM, and the VM is given up if it chose others.",
    )
    import_by: Literal["ssh", "manager"] = Field(
        default="ssh",
        description="Who brings templates: IMS, over SSH; or the Manager, which fetches the"
        " unpacked folder beside the archive's URL, and IMS proves every file.",
    )
    operations: dict[str, str] = Field(
        default_factory=dict,
        description="What this Manager calls an operation, where the table has another name:"
        ' power_on = "VirtualMachineService.startVM(vm)".',
    )
    fields: dict[str, str] = Field(
        default_factory=dict,
        description="What it calls a field of a type, where the table has another name:"
        ' "TemplateVmConfig.vmName" = "name".',
    )
    statuses: dict[str, str] = Field(
        default_factory=dict,
        description="Which constant a text or a code of VmStatus stands for, where it is not the"
        ' constant\'s own name: "Powered Off" = "POWEREDOFF".',
    )

    @field_validator("manager")
    @classmethod
    def _bare(cls, url: str) -> str:
        if _MANAGER.fullmatch(url):
            return url
        # It may hold a password, so it is not repeated.
        raise ValueError(
            "write it as http://HOST:8888 or https://HOST:4443, without a path, and the user and"
            " the password as manager_user and password_file"
        )
