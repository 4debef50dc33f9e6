"""IMS: create virtual machines from templates, and tell each guest who it is.

.. code-block:: python

    from ims_core import Ims

    with Ims() as ims:
        vm = ims.create_vm("web01", provider="kvm", wait="ready")

Names are imported when they are first used, so that a provider that needs the SPI alone does not
pay for the service.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ims_core.errors import (
        AccessDeniedError,
        BusyError,
        CancelledError,
        CapacityError,
        ConfigError,
        ConflictError,
        DeadlineError,
        GuestError,
        HypervisorError,
        ImageError,
        ImsError,
        InvalidError,
        NotFoundError,
        NotOursError,
        UnavailableError,
        UnsupportedError,
    )
    from ims_core.models import (
        VM,
        Address,
        Carrier,
        CarrierLimits,
        Change,
        ChangeKind,
        Context,
        Delivery,
        Features,
        File,
        Finding,
        Host,
        HostKey,
        Interface,
        ItemResult,
        Mark,
        Metrics,
        Receipt,
        Resource,
        Script,
        ShownContext,
        Snapshot,
        State,
        Template,
        User,
        VMSpec,
        Wait,
    )
    from ims_core.service import Event, Ims, Phase, Watched
    from ims_core.spi import (
        Clone,
        Console,
        ConsoleLog,
        Discarded,
        Injection,
        LiveContext,
        Pause,
        Provider,
        Snapshots,
        Suspend,
        TemplateStore,
        UndoLog,
        Watch,
    )

_HOMES = {
    "ims_core.errors": (
        "AccessDeniedError BusyError CancelledError CapacityError ConfigError ConflictError "
        "DeadlineError GuestError HypervisorError ImageError ImsError InvalidError NotFoundError "
        "NotOursError UnavailableError UnsupportedError"
    ),
    "ims_core.models": (
        "Address Carrier CarrierLimits Change ChangeKind Context Delivery Features File Finding "
        "Host HostKey Interface ItemResult Mark Metrics Receipt Resource Script ShownContext "
        "Snapshot State Template User VM VMSpec Wait"
    ),
    "ims_core.service": "Event Ims Phase Watched",
    "ims_core.spi": (
        "Clone Console ConsoleLog Discarded Injection LiveContext Pause Provider Snapshots Suspend "
        "TemplateStore UndoLog Watch"
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__version__ = "0.1.0"
__all__ = [
    "VM",
    "AccessDeniedError",
    "Address",
    "BusyError",
    "CancelledError",
    "CapacityError",
    "Carrier",
    "CarrierLimits",
    "Change",
    "ChangeKind",
    "Clone",
    "ConfigError",
    "ConflictError",
    "Console",
    "ConsoleLog",
    "Context",
    "DeadlineError",
    "Delivery",
    "Discarded",
    "Event",
    "Features",
    "File",
    "Finding",
    "GuestError",
    "Host",
    "HostKey",
    "HypervisorError",
    "ImageError",
    "Ims",
    "ImsError",
    "Injection",
    "Interface",
    "InvalidError",
    "ItemResult",
    "LiveContext",
    "Mark",
    "Metrics",
    "NotFoundError",
    "NotOursError",
    "Pause",
    "Phase",
    "Provider",
    "Receipt",
    "Resource",
    "Script",
    "ShownContext",
    "Snapshot",
    "Snapshots",
    "State",
    "Suspend",
    "Template",
    "TemplateStore",
    "UnavailableError",
    "UndoLog",
    "UnsupportedError",
    "User",
    "VMSpec",
    "Wait",
    "Watch",
    "Watched",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted(__all__)
