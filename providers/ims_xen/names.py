"""What a VM's files in the dom0 are called; see also ``scripts/prelude.sh``."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Folder", "TemplateFolder"]

MARK = "mark.json"
CONFIG = "vm.cfg"
CARDS = "cards.json"
KEYS = "context.json"
MEDIUM = "seed.img"
MEMORY = "memory"
RECEIPT = "receipt"
STARTING = "starting"
STARTED = "started"


@dataclass(frozen=True, slots=True)
class Folder:
    """A VM's folder."""

    directory: str
    name: str

    def path(self, file: str) -> str:
        """Where one of its files lies."""
        return f"{self.directory}/vms/{self.name}/{file}"

    @staticmethod
    def root(template_format: str) -> str:
        """The file of the root disk."""
        return f"root.{template_format}"


@dataclass(frozen=True, slots=True)
class TemplateFolder:
    """A template's folder."""

    directory: str
    name: str

    def path(self, file: str) -> str:
        """Where one of its files lies: ``disk``, ``kernel`` or ``ramdisk``."""
        return f"{self.directory}/templates/{self.name}/{file}"
