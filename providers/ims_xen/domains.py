"""What ``xl list -v`` shows, and which of our states that is.

Source: xl(1), LIST; tools/xl/xl_list.c of Xen prints the letters, each in a column of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ims_core.models import State

__all__ = ["Domain", "domains_of", "state_of"]

_MIB = 1 << 20
# From the right, because a foreign domain's name may hold spaces.
_LINE = re.compile(
    r"(?P<name>.*?) +(?P<id>[0-9]{1,5}) +(?P<memory>[0-9]{1,12}) +(?P<vcpus>[0-9]{1,5})"
    r" +(?P<letters>[a-z-]{6}) +(?P<seconds>[0-9]+\.[0-9]+)"
    r" +(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?: .*)?"
)


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain that Xen has now.

    Attributes:
        letters: r, b, p, s, c and d, or ``-``, in this order.
        memory: Bytes it has at this moment.
        seconds: CPU time since it was made.
    """

    domid: int
    name: str
    uuid: str
    letters: str
    memory: int
    vcpus: int
    seconds: float


def domains_of(text: str) -> list[Domain]:
    """The domains but for dom0, out of what ``xl list -v`` printed."""
    matches = (_LINE.fullmatch(line.rstrip()) for line in text.splitlines())
    return [_domain(match) for match in matches if match and match["id"] != "0"]


def _domain(line: re.Match[str]) -> Domain:
    return Domain(
        domid=int(line["id"]),
        name=line["name"],
        uuid=line["uuid"],
        letters=line["letters"],
        memory=int(line["memory"]) * _MIB,
        vcpus=int(line["vcpus"]),
        seconds=float(line["seconds"]),
    )


def state_of(letters: str) -> State:
    """The state that the letters mean, whichever of them are set.

    The later letters are about the end of a domain and win over those before: a domain that is
    dying may still be blocked, and one that crashed was shut down by that. None at all is a domain
    that waits for a CPU.
    """
    flags = set(letters) - {"-"}
    if not flags <= set("rbpscd") or len(letters) != len("rbpscd"):
        return State.UNKNOWN
    for letter, state in _BY_LETTER.items():
        if letter in flags:
            return state
    return State.RUNNING


_BY_LETTER = {
    "d": State.STOPPING,
    "c": State.CRASHED,
    "s": State.STOPPING,
    "p": State.PAUSED,
    "r": State.RUNNING,
    "b": State.RUNNING,
}
