"""A VM's description, as it lies in the pool's directory."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from ims_core.models import Address, Carrier, Interface, ItemResult, Mark, Receipt, State

__all__ = ["FILES", "OFF", "PAUSED", "STATES", "SUSPENDED", "Domain", "from_json", "to_json"]

PAUSED = "paused"
SUSPENDED = "suspended"

STATES = {
    "defined": State.DEFINED,
    "running": State.RUNNING,
    PAUSED: State.PAUSED,
    SUSPENDED: State.SUSPENDED,
    "off": State.STOPPED,
    "crashed": State.CRASHED,
}
"""The words of a description's ``state``; any other is ``UNKNOWN``."""

FILES = ("volume", "seed", "overlay")
"""The attributes of a description that name files, by the kind of these."""

OFF = ("defined", "off", "crashed")


@dataclass(frozen=True, slots=True)
class Domain:
    """One VM.

    Attributes:
        state: A key of :data:`STATES`.
        volume: Name of its file in ``volumes``; likewise ``seed`` in ``seeds``,
            and ``overlay`` in ``overlays``, if its layout has a second medium.
        carrier: What the seed is: a medium, or keys and values as JSON.
        started: Seconds since the epoch at the last start.
        leases: Address by MAC, handed out at the first start and kept.
        receipt: What the guest answered last.
        console: What the guest printed since its last start.
        snapshot: Name of the snapshot that it descends from, if any.
        unreadable: Why the description cannot be read; never written.
    """

    name: str
    uuid: str
    state: str = "defined"
    mark: Mark | None = None
    template: str = ""
    memory: int | None = None
    vcpus: int | None = None
    volume: str = ""
    seed: str = ""
    overlay: str = ""
    carrier: Carrier = Carrier.ISO
    interfaces: tuple[Interface, ...] = ()
    started: float | None = None
    leases: dict[str, str] = field(default_factory=dict)
    receipt: Receipt | None = None
    console: tuple[str, ...] = ()
    snapshot: str = ""
    unreadable: str = ""


def to_json(domain: Domain) -> str:
    """The description as text."""
    values = asdict(domain)
    del values["unreadable"]
    return json.dumps(values, indent=1)


def from_json(uuid: str, text: bytes) -> Domain:
    """The inverse; never fails: what cannot be read says so in ``unreadable``.

    A description that somebody else wrote, without a mark, may lack anything but its name.
    """
    try:
        return _parse(uuid, json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return Domain(uuid, uuid, "unreadable", unreadable=f"{type(error).__name__}: {error}")


def _parse(uuid: str, values: dict[str, Any]) -> Domain:
    values["uuid"] = uuid
    values["name"] = str(values["name"])
    if values.get("mark"):
        mark = Mark.from_dict(values["mark"])
        values["mark"] = mark if mark.vm == uuid else None  # it was copied with its description
    if values.get("receipt"):
        values["receipt"] = _receipt(values["receipt"])
    values["interfaces"] = tuple(
        Interface(**{key: _tuple(value) for key, value in card.items()})
        for card in values.get("interfaces", ())
    )
    values["carrier"] = Carrier(values.get("carrier", Carrier.ISO))
    values["console"] = tuple(values.get("console", ()))
    return Domain(**values)


def _receipt(values: dict[str, Any]) -> Receipt:
    return Receipt(
        values["digest"],
        values["nonce"],
        tuple(ItemResult(**item) for item in values["items"]),
        tuple(Address(**address) for address in values["addresses"]),
    )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
