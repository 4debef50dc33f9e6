"""The tiny guest with the program of VirtualBox's Guest Additions that reads guest properties.

The kernel's part of them, vboxguest, is in each tiny guest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.labs import tiny_guest
from tests.labs.virtualbox import host

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["build"]

_HOME = "opt/virtualbox"
_LIBRARIES = ("libz.so.1",)
# It is unstable's, and so is its C library.
_WRAPPER = f"""\
#!/bin/sh
exec /{_HOME}/ld-linux-x86-64.so.2 --library-path /{_HOME} /{_HOME}/VBoxControl "$@"
"""


def build() -> Path:
    """Return the path of its image; see :func:`tests.labs.tiny_guest.build`."""
    folder = host.build() / host.GUEST
    libraries = host.build() / host.TREE / "usr/lib/x86_64-linux-gnu"
    parts = [*(path for path in folder.iterdir() if path.name != "wrapper")]
    parts += [libraries / name for name in _LIBRARIES]
    added = {f"{_HOME}/{path.name}": path for path in parts}
    wrapper = folder / "wrapper"
    wrapper.write_text(_WRAPPER)
    return tiny_guest.build({**added, "usr/bin/VBoxControl": wrapper})
