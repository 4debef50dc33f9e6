"""What libguestfs has at work, and what it leaves when it is killed."""

from __future__ import annotations

import os
import re
from pathlib import Path


def at_work(image: Path) -> list[int]:
    """Processes that name this image in their arguments, as QEMU does."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes()
        except OSError:  # it has ended
            continue
        if os.fsencode(image) in words and int(each.parent.name) != os.getpid():
            found.append(int(each.parent.name))
    return found


def left_by(process: int) -> set[Path]:
    """The directories that QEMU leaves when it is killed."""
    words = "".join(Path(f"/proc/{process}/{each}").read_text() for each in ("cmdline", "environ"))
    return set(map(Path, re.findall(r"/tmp/libguestfs\w{6}|/var/tmp/ims-guestfish-\w+", words)))
