"""The errors of a VM that is not there, or in the wrong state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, NotFoundError
from ims_fake.domain import OFF, SUSPENDED

if TYPE_CHECKING:
    from ims_fake.domain import Domain

__all__ = [
    "not_running",
    "refuse_off",
    "refuse_on",
    "refuse_running",
    "refuse_suspended",
    "vm_missing",
]


def vm_missing(vm: str) -> NotFoundError:
    """There is no VM of that UUID."""
    return NotFoundError(f"there is no VM {vm!r}", code="vm-not-found", vm=vm)


def not_running(domain: Domain) -> ConflictError:
    """It would have to run."""
    return ConflictError(
        f"VM {domain.name!r} is not running", code="vm-not-running", vm=domain.name
    )


def refuse_off(domain: Domain) -> None:
    """Raise ``vm-not-running`` if its power is off and nothing of it was saved."""
    if domain.state in OFF:
        raise not_running(domain)


def refuse_suspended(domain: Domain) -> None:
    """Raise ``vm-suspended`` if it would go on instead."""
    if domain.state == SUSPENDED:
        raise ConflictError(
            f"VM {domain.name!r} is suspended",
            code="vm-suspended",
            vm=domain.name,
            hint=f"`ims resume-vm {domain.name}` lets it go on,"
            f" `ims stop-vm --force {domain.name}` gives its memory up",
        )


def refuse_running(domain: Domain) -> None:
    """Raise ``vm-running`` or ``vm-suspended`` unless it could be started."""
    refuse_suspended(domain)
    refuse_on(domain)


def refuse_on(domain: Domain) -> None:
    """Raise ``vm-running`` if it has power."""
    if domain.state not in (*OFF, SUSPENDED):
        raise ConflictError(
            f"VM {domain.name!r} is {domain.state} already",
            code="vm-running",
            vm=domain.name,
            hint=f"`ims stop-vm {domain.name}` first",
        )
