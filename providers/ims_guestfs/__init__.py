"""Files put into the disk image of a VM that is off, by libguestfs.

libguestfs mounts the image's file systems in a small machine of its own, under QEMU: what a hostile
file system does to a kernel, it does there. Its Python module is not on PyPI and so not in a
virtual environment; its command ``guestfish`` is driven instead. See ``docs/injection.md``. The
names below are loaded when they are first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ims_guestfs.injecting import inject
    from ims_guestfs.needs import unavailable

__all__ = ["inject", "unavailable"]

_HOMES = {"inject": "ims_guestfs.injecting", "unavailable": "ims_guestfs.needs"}


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
