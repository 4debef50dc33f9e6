"""What is called how on a VirtualBox host; see also ``scripts/prelude.sh``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ims_shell.names import making

if TYPE_CHECKING:
    from ims_core.models import Delivery

__all__ = [
    "ADDRESSES",
    "CONTEXT",
    "FORWARD",
    "IMAGE",
    "MARK",
    "RECEIPT",
    "Folder",
    "seed_name",
    "template_disk",
    "template_of",
]

MARK = "IMS/mark"
"""The key of a machine's extra data under which our mark stands."""
ADDRESSES = "IMS/addresses"
"""The same for its static addresses, as ``network=address``, separated by spaces."""
CONTEXT = "/IMS/Context/"
"""Where a guest finds the values of its context among its properties, and nothing to change."""
RECEIPT = "/IMS/Receipt/"
"""Where it answers."""
FORWARD = "ims-ssh"
"""The name of the rule for a port of the host that leads to the guest's SSH server."""
IMAGE = "disk.vdi"
"""A template's disk in the template's folder."""

_SEED = re.compile(r"seed-[0-9a-z]{1,16}\.iso")
_OPERATION = re.compile(r"-([0-9a-f]{16})$")


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of a VM that IMS made: VirtualBox's own folder is in it, and all our files.

    Attributes:
        directory: The pool's.
        name: Of the folder: the VM's name when it was made, and the operation that made it.
    """

    directory: str
    name: str

    @classmethod
    def of(cls, directory: str, vm: str, operation: str) -> Self:
        """The folder of a VM that an operation makes."""
        return cls(directory, making(vm, operation))

    @classmethod
    def around(cls, directory: str, settings_file: str) -> Self | None:
        """The folder in which a settings file lies; None if that is none of the pool's."""
        head, _, rest = settings_file.partition(f"{directory}/vms/")
        parts = rest.split("/")
        whole = not head and len(parts) == 3 and not {"", ".", ".."} & set(parts)  # noqa: PLR2004
        return cls(directory, parts[0]) if whole and _OPERATION.search(parts[0]) else None

    @property
    def operation(self) -> str:
        """Which operation made it."""
        found = _OPERATION.search(self.name)
        return found[1] if found else ""

    @property
    def root(self) -> str:
        """The path of the VM's disk, as it was made."""
        return self.path("root.vdi")

    @property
    def machine_parent(self) -> str:
        """Where VirtualBox makes its own folder."""
        return self.path("")[:-1]

    def path(self, file: str) -> str:
        """Where a file of ours lies."""
        return f"{self.directory}/vms/{self.name}/{file}"

    def seed_in(self, path: str) -> str:
        """The name of our medium with that path; empty if it is none of this folder."""
        name = path.removeprefix(self.path(""))
        return name if name != path and _SEED.fullmatch(name) else ""


def seed_name(delivery: Delivery) -> str:
    """The file of a delivery's medium: its own, so that VirtualBox notices the change."""
    plain = "".join(sign for sign in delivery.nonce.lower() if sign.isalnum() and sign.isascii())
    return f"seed-{plain[:16] or '0'}.iso"


def template_disk(directory: str, name: str) -> str:
    """The path of a template's disk."""
    return f"{directory}/templates/{name}/{IMAGE}"


def template_of(directory: str, path: str) -> str:
    """The name of the template whose disk has that path; empty if it is none's."""
    name = path.removeprefix(f"{directory}/templates/").removesuffix(f"/{IMAGE}")
    return name if path == template_disk(directory, name) and "/" not in name else ""
