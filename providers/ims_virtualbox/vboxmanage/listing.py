"""What VBoxManage prints about machines, media, networks and guests. All of it may be hostile.

Names and descriptions stand in it as they are, line breaks and all, so that a line of a list may be
anybody's. What is taken from a list is therefore little, and a UUID that is there twice tells
nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_virtualbox.vboxmanage.states import known_state

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Listed",
    "listed_machines",
    "listed_media",
    "machine_state",
    "paragraphs",
    "properties_of",
    "sampled",
]

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_MACHINE = re.compile(rf"^UUID: +({_UUID})$", re.MULTILINE)
_PATH = re.compile(r"^Config file: +(/.*\.vbox)$", re.MULTILINE)
_STATE = re.compile(r"^State: +(.*?) \(since [^()]*\)$", re.MULTILINE)
_NO_ACCESS = "Access error details:"
_VM_STATE = re.compile(r'^VMState="([a-z-]+)"$', re.MULTILINE)
_MEDIUM = re.compile(rf"^UUID: +({_UUID})$.*?^Location: +(/.*)$", re.MULTILINE | re.DOTALL)
# 7.x, then 6.x.
_PROPERTY = re.compile(
    r"^(?P<key>/\S+) *= '(?P<value>.*)' *@ \S+.*$"
    r"|^Name: (?P<name>/[^,]+), value: (?P<said>.*), timestamp: \d+, flags:.*$",
    re.MULTILINE,
)
_SAMPLE = re.compile(
    r"^(?P<object>.+?) +(?P<metric>[A-Z][A-Za-z]+(?:/[A-Za-z]+)+) +(?P<value>\d+)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A machine in the list.

    Attributes:
        uuid: Its UUID.
        path: Of its settings file.
        state: The word of ``--machinereadable``; empty if the list does not tell.
        accessible: Whether VirtualBox could read its settings.
    """

    uuid: str
    path: str
    state: str
    accessible: bool


def listed_machines(text: str) -> list[Listed]:
    """The machines of ``list vms --long``; one whose UUID stands there twice has no state."""
    _, *parts = _MACHINE.split(text)
    uuids, blocks = parts[::2], parts[1::2]
    found: dict[str, Listed] = {}
    for uuid, block in zip(uuids, blocks, strict=True):
        path, state = _PATH.search(block), _STATE.search(block)
        if path is None or uuid in found:
            continue
        sure = state is not None and uuids.count(uuid) == 1
        found[uuid] = Listed(
            uuid,
            path[1],
            known_state(state[1]) if sure and state is not None else "",
            accessible=_NO_ACCESS not in block.splitlines(),
        )
    return list(found.values())


def machine_state(text: str) -> str:
    """The state in ``showvminfo --machinereadable``; empty if it tells none."""
    match = _VM_STATE.search(text)
    return match[1] if match else ""


def listed_media(text: str) -> list[tuple[str, str]]:
    """UUID and path of each medium of ``list hdds`` or ``list dvds``, those that depend last."""
    return [(match[1], match[2]) for match in _MEDIUM.finditer(text)]


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
    """The samples of ``metrics query``: numbers by metric, by the name of the machine."""
    found: dict[str, dict[str, int]] = {}
    for match in _SAMPLE.finditer(text):
        found.setdefault(match["object"], {})[match["metric"]] = int(match["value"])
    return found
