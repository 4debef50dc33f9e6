"""Where and with what the numbers were taken; nothing that names the machine itself."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tests.labs.commands import run
from tests.labs.kvm.resources import virsh

if TYPE_CHECKING:
    from tests.bench.ground import Ground

__all__ = ["describe"]

_LIST = "import importlib.metadata as m, json; print(json.dumps(m.version('kcli')))"


def describe(ground: Ground, pairs: int, load: float) -> dict[str, str]:
    """Lines of a header, each a word and what it says."""
    said = virsh("version")
    interpreter = Path(ground.kcli.command[0]).with_name("python")
    guests = {"kvm": "KVM", "qemu": "QEMU's emulation"}[ground.lab.domain_type]
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "CPU": f"{_cpu()}, {len(os.sched_getaffinity(0))} cores, guests run by {guests}",
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "libvirt": _found(r"Using library: libvirt (\S+)", said),
        "QEMU": _found(r"Running hypervisor: QEMU (\S+)", said),
        "IMS": version("ims"),
        "kcli": json.loads(run(interpreter, "-c", _LIST)),
        "Python": f"{platform.python_version()}, the same for both",
        "rounds": f"{pairs} of each, in turn, after one that does not count",
        "load": f"{load:.1f} when it began" + (", so others used the CPUs" if load > 1 else ""),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else "?"
