"""Counters of running machines: one query for all, and the processor time of their processes.

VirtualBox's own metrics are percentages and rates, which are no counters; of what the guest uses it
knows where Guest Additions tell. Source: the manual, "VBoxManage metrics".
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from ims_core.models import Metrics
from ims_virtualbox.host import patiently
from ims_virtualbox.surveying import survey
from ims_virtualbox.vboxmanage.listing import sampled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_virtualbox.host import VirtualBoxHost
    from ims_virtualbox.surveying import Found

__all__ = ["processor_times", "read"]

_RUNNING = ("running", "livesnapshotting", "deletingsnapshotlive", "paused")
_ALWAYS = "RAM/Usage/Used"  # of the machine's process: there as soon as anything is sampled
_TOTAL, _FREE = "Guest/RAM/Usage/Total", "Guest/RAM/Usage/Free"
_ALL = f"{_ALWAYS},{_TOTAL},{_FREE}"
_SET_UP = "RAM/Usage,Guest/RAM/Usage"
_KIB, _MIB = 1 << 10, 1 << 20
_PROCESS = re.compile(
    r"^ *(?:(?P<days>\d+)-)?(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+(?:\.\d+)?) +"
    r".*--startvm (?P<uuid>[0-9a-f-]{36})\b",
    re.MULTILINE,
)


def read(host: VirtualBoxHost) -> Sequence[Metrics]:
    """Of every machine that runs."""
    running = [each for each in survey(host).machines if each.state in _RUNNING and each.document]
    samples, processes = _told(host)
    if running and not any(_ALWAYS in samples.get(each.name, {}) for each in running):
        # It forgets what to sample whenever none of its programs run.
        patiently(lambda: host.call("sample", _SET_UP, _ALWAYS, subject="metrics"))
        samples, processes = _told(host)
    times = processor_times(processes)
    # A name of several lines ends in one that may be another's.
    names = [line for each in running for line in each.name.splitlines()]
    now = time.time()
    return [
        _metrics(
            each,
            now,
            samples.get(each.name, {}) if names.count(each.name) == 1 else {},
            times.get(each.uuid),
        )
        for each in running
    ]


def _told(host: VirtualBoxHost) -> tuple[dict[str, dict[str, int]], str]:
    """The newest samples, and what ``ps`` prints of the machines' processes."""
    told = patiently(lambda: host.ask("metrics", _ALL, subject="metrics"))
    samples, processes = (told[each].decode(errors="replace") for each in ("samples", "processes"))
    return sampled(samples), processes


def processor_times(text: str) -> dict[str, float]:
    """Seconds by UUID, out of ``ps -o time= -o args=`` (POSIX: ``[dd-]hh:mm:ss``)."""
    return {
        match["uuid"]: (
            86400 * int(match["days"] or 0)
            + 3600 * int(match["hours"] or 0)
            + 60 * int(match["minutes"])
            + float(match["seconds"])
        )
        for match in _PROCESS.finditer(text)
    }


def _metrics(machine: Found, now: float, samples: dict[str, int], seconds: float | None) -> Metrics:
    total, free = samples.get(_TOTAL, 0), samples.get(_FREE, 0)
    return Metrics(
        name=machine.name,
        uuid=machine.uuid,
        timestamp=now,
        cpu_seconds=seconds,
        vcpus=machine.settings.cpus,
        memory_used_bytes=(total - free) * _KIB if total and 0 < free <= total else None,
        memory_max_bytes=machine.settings.memory * _MIB,
    )
