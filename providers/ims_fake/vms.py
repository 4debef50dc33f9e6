"""The VMs of a pool as they are in truth: their descriptions, and what their guests are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ims_core.errors import HypervisorError
from ims_fake.refusals import vm_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ims_fake.directory import Directory
    from ims_fake.domain import Domain
    from ims_fake.guests import Guests

__all__ = ["VMs"]


@dataclass(frozen=True, slots=True)
class VMs:
    """Reads descriptions, and changes them.

    Attributes:
        directory: Where they lie.
        guests: What knows of each VM whether it really runs.
    """

    directory: Directory
    guests: Guests

    def found(self, vms: Collection[str] | None = None) -> list[Domain]:
        """Those of these names or UUIDs, or all."""
        return [
            self._true(each)
            for each in self.directory.domains()
            if vms is None or each.uuid in vms or each.name in vms
        ]

    def existing(self, vm: str) -> Domain:
        """The one of that UUID.

        Raises:
            NotFoundError: ``vm-not-found``.
        """
        if domain := self.directory.domain(vm):
            return self._true(domain)
        raise vm_missing(vm)

    def change(self, vm: str, change: Callable[[Domain], Domain]) -> Domain:
        """Replace a VM's description by a changed one, in one step."""
        with self.directory.locked():
            domain = self.existing(vm)
            if domain.unreadable:
                raise HypervisorError(
                    f"the description of VM {vm} cannot be read: {domain.unreadable}", vm=vm
                )
            changed = change(domain)
            self.directory.save(changed)
            return changed

    def _true(self, domain: Domain) -> Domain:
        return replace(domain, state=self.guests.state(domain))
