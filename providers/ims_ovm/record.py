"""What IMS keeps beside a VM in the repository: ``ims/vm.json`` in the VM's folder.

The Manager chooses a VM's UUID and the name of its folder, and has no place for a mark. So ours
is a file, and names both: a folder that was copied has another name, and its file does not count.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ims_core.models import Mark
from ims_dom0.marks import card_of

if TYPE_CHECKING:
    from ims_core.models import Interface

__all__ = ["FILE", "Record", "read_record", "write_record"]

FILE = "ims/vm.json"


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a VM besides what the Manager tells.

    Attributes:
        name: Of the folder.
        image: The Manager's UUID of the VM, and its domain's.
        vm_name: The VM's, as it was ordered.
        disks: The files that it needs in its folder.
        started: Whether it was ever told to start.
    """

    name: str
    image: str
    vm_name: str
    mark: Mark
    cards: tuple[Interface, ...] = ()
    disks: tuple[str, ...] = ()
    started: bool = False


def write_record(record: Record) -> bytes:
    """The file's content, a line for each field, so that a script in the dom0 can find one."""
    return json.dumps(asdict(record), indent=1).encode()


def read_record(content: bytes, folder: str) -> Record | None:
    """A record in a folder of that name; None if it is none, or was copied from another folder."""
    try:
        values = json.loads(content)
        if values["name"] != folder:
            return None
        return Record(
            name=folder,
            image=_text(values, "image"),
            vm_name=_text(values, "vm_name"),
            mark=Mark.from_dict(values["mark"]),
            cards=tuple(card_of(each) for each in values["cards"]),
            disks=tuple(str(each) for each in values["disks"]),
            started=bool(values["started"]),
        )
    except (ValueError, AttributeError, TypeError, LookupError, RecursionError):
        return None


def _text(values: dict[str, Any], field: str) -> str:
    value = values[field]
    if not isinstance(value, str):
        raise TypeError(field)
    return value
