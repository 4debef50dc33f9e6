"""What VBoxManage prints about machines, media, networks and guests. All of it may be hostile.

Names and descriptions stand in it as they are, line breaks and all, so that a line of a list may be
anybody's. What is taken from a list is therefore little, and a UUID that is there twice tells
nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ims_virtualbox.vboxmanage.states import known_state

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "UUID",
    "Medium",
    "listed_media",
    "machine_state",
    "paragraphs",
    "processes_in",
    "properties_of",
    "running_states",
    "sampled",
]

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The pattern of one, as VBoxManage writes it."""
_MACHINE = re.compile(rf"^UUID: +({UUID})$", re.MULTILINE)
_STATE = re.compile(r"^State: +(.*?) \(since [^()]*\)$", re.MULTILINE)
_PROCESS = re.compile(rf"^.* --startvm ({UUID})\b", re.MULTILINE)
_VM_STATE = re.compile(r'^VMState="([a-z-]+)"$', re.MULTILINE)
_MEDIUM = re.compile(
    rf"^UUID: +({UUID})\n(?:Parent UUID: +([^\n]*)\n)?(?:[^\n]+\n)*?Location: +(/[^\n]*)$",
    re.MULTILINE,
)
# 7.x, then 6.x.
_PROPERTY = re.compile(
    r"^(?P<key>/\S+) *= '(?P<value>.*)' *@ \S+.*$"
    r"|^Name: (?P<name>/[^,\n]+), value: (?P<said>.*), timestamp: \d+, flags:.*$",
    re.MULTILINE,
)
_SAMPLE = re.compile(
    r"^(?P<object>.*\S) +(?P<metric>[A-Z][A-Za-z]+(?:/[A-Za-z]+)+) +(?P<value>\d+)", re.MULTILINE
)


class Medium(NamedTuple):
    """A medium that VirtualBox knows; ``parent`` is what it depends on, by UUID, or ``base``."""

    uuid: str
    parent: str
    path: str


def running_states(text: str) -> dict[str, str]:
    """The states of ``list runningvms --long`` by UUID, in the words of ``--machinereadable``.

    The state of a machine whose UUID stands there twice is empty: a line of somebody's description
    may be one of them.
    """
    _, *parts = _MACHINE.split(text)
    uuids, blocks = parts[::2], parts[1::2]
    found: dict[str, str] = {}
    for uuid, block in zip(uuids, blocks, strict=True):
        state = _STATE.search(block)
        sure = state is not None and uuids.count(uuid) == 1
        found[uuid] = known_state(state[1]) if sure and state is not None else ""
    return found


def machine_state(text: str) -> str:
    """The state in ``showvminfo --machinereadable``; empty if it tells none."""
    match = _VM_STATE.search(text)
    return match[1] if match else ""


def listed_media(text: str) -> list[Medium]:
    """The media of ``list hdds`` or ``list dvds``, those that depend on others last."""
    found = [Medium(*match.groups(default="")) for match in _MEDIUM.finditer(text)]
    times = Counter(each.uuid for each in found)
    return [each for each in found if times[each.uuid] == 1]


def processes_in(text: str) -> set[str]:
    """UUIDs of the machines that a process runs, out of the arguments of all processes.

    The last of a line counts: before it stands the machine's name, which may look like one.
    """
    return set(_PROCESS.findall(text))


def properties_of(text: str) -> dict[str, str]:
    """The guest properties of ``guestproperty enumerate``, by their names."""
    return {
        match["key"] or match["name"]: match["value"] if match["key"] else match["said"]
        for match in _PROPERTY.finditer(text)
    }


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """The things of ``list hostonlyifs`` and its like: in each paragraph, values by their words."""
    for paragraph in re.split(r"\n\s*\n", text):
        lines = (line.partition(":") for line in paragraph.splitlines())
        values = {word.strip(): value.strip() for word, colon, value in lines if colon}
        if values:
            yield values


def sampled(text: str) -> dict[str, dict[str, int]]:
    """The samples of ``metrics query``: numbers by metric, by the name of the machine.

    The last in a line that looks like one counts: before it stands the name.
    """
    found: dict[str, dict[str, int]] = {}
    for match in _SAMPLE.finditer(text):
        found.setdefault(match["object"], {})[match["metric"]] = int(match["value"])
    return found
