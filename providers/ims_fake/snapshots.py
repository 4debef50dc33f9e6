"""Snapshots: a description and copies of a VM's files, side by side in the folder ``snapshots``.

A snapshot exists from the moment its description does, which is written last and removed last.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ims_core.errors import ConflictError, NotFoundError
from ims_core.models import Snapshot
from ims_core.spi import Discarded
from ims_fake.domain import FILES, OFF, SUSPENDED, Domain, from_json, to_json
from ims_fake.refusals import refuse_on

if TYPE_CHECKING:
    from pathlib import Path

    from ims_core.models import Resource
    from ims_core.spi import UndoLog
    from ims_fake.machines import Machines
    from ims_fake.pace import Pace
    from ims_fake.vms import VMs

__all__ = ["KIND", "Snapshots"]

KIND = "snapshot"
_GUEST = "guest"


@dataclass(frozen=True, slots=True)
class _Kept:
    """A snapshot's description.

    Attributes:
        parent: Name of the one that the VM descended from when it was taken, if any.
        domain: The VM's description of that time.
    """

    name: str
    taken: float
    operation: str
    memory: bool
    parent: str
    domain: str


class Snapshots:
    """The snapshots of one pool's VMs."""

    def __init__(self, vms: VMs, machines: Machines, pace: Pace, capacity: int) -> None:
        """Keep the parts."""
        self._vms = vms
        self._directory = vms.directory
        self._guests = vms.guests
        self._machines = machines
        self._pace = pace
        self._capacity = capacity

    def take(self, domain: Domain, name: str, undo: UndoLog) -> None:
        """Copy the VM's files, then publish them by their description."""
        self._refuse_taken(domain, name)
        undo.announce(KIND, f"{domain.uuid}/{name}/{undo.operation}")
        stem = _stem(domain.uuid, name, undo.operation)
        memory = domain.state not in OFF
        for part in FILES:
            if file := getattr(domain, part):
                source = self._directory.path(part, file)
                self._directory.copy(source, self._path(stem, part), self._capacity)
        if disk := self._guests.pack(domain):
            self._directory.make(self._path(stem, _GUEST), len(disk), self._capacity)
            self._directory.write(self._path(stem, _GUEST), disk)
        if memory:
            self._directory.make(self._path(stem, "memory"), domain.memory or 0, self._capacity)
        self._pace.step("snapshot")
        with self._directory.locked():
            self._refuse_taken(domain, name)
            kept = _Kept(
                name, time.time(), undo.operation, memory, domain.snapshot, to_json(domain)
            )
            self._save(domain.uuid, kept)
            self._directory.save(replace(self._vms.existing(domain.uuid), snapshot=name))

    def all(self, domain: Domain) -> list[Snapshot]:
        """Those of a VM."""
        return [
            Snapshot(
                each.name, each.taken, each.operation, each.memory, each.name == domain.snapshot
            )
            for each in self._kept(domain.uuid)
        ]

    def restore(self, domain: Domain, name: str) -> None:
        """Put the VM's files back, and last its description."""
        refuse_on(domain)
        kept = self._find(domain, name)
        stem = _stem(domain.uuid, name, kept.operation)
        then = from_json(domain.uuid, kept.domain.encode())
        if kept.memory:
            self._machines.save_memory(domain)
        for part in FILES:
            if file := getattr(domain, part):
                self._directory.put_back(self._path(stem, part), self._directory.path(part, file))
        disk = self._path(stem, _GUEST)
        self._guests.unpack(domain, self._directory.read(disk) if disk.exists() else b"")
        self._pace.step("restore-snapshot")
        with self._directory.locked():
            now = self._vms.existing(domain.uuid)
            refuse_on(now)
            self._directory.save(_as_then(now, then, kept))
        if not kept.memory:
            self._machines.forget_memory(domain.uuid)

    def delete(self, domain: Domain, name: str) -> None:
        """Remove one; what descended from it descends from its parent then."""
        self._pace.step("delete-snapshot")
        with self._directory.locked():
            self._drop(domain.uuid, self._find(domain, name))

    def forget(self, uuid: str) -> None:
        """Remove all of a VM's, and what was begun of others."""
        self._remove(uuid)

    def discard(self, resource: Resource) -> Discarded:
        """Remove one that was announced, if it is of that operation; call it with the lock held."""
        uuid, name, operation = resource.name.split("/")
        named = next((each for each in self._kept(uuid) if each.name == name), None)
        if named is not None and resource.operation == named.operation:
            self._drop(uuid, named)
            return Discarded.REMOVED
        if resource.operation == operation and self._remove(_stem(uuid, name, operation)):
            return Discarded.REMOVED  # its copies were made, and it was not published
        return Discarded.NOT_OURS if named is not None else Discarded.ABSENT

    def _path(self, stem: str, part: str) -> Path:
        return self._directory.path(KIND, f"{stem}.{part}")

    def _kept(self, uuid: str) -> list[_Kept]:
        files = self._directory.files("snapshots", ".json")
        return [_read(path) for path in files if path.name.startswith(f"{uuid}.")]

    def _find(self, domain: Domain, name: str) -> _Kept:
        for each in self._kept(domain.uuid):
            if each.name == name:
                return each
        raise NotFoundError(
            f"VM {domain.name!r} has no snapshot {name!r}",
            code="snapshot-not-found",
            vm=domain.name,
            hint=f"`ims list-snapshots {domain.name}` shows those there are",
        )

    def _save(self, uuid: str, kept: _Kept) -> None:
        path = self._path(_stem(uuid, kept.name, kept.operation), "json")
        self._directory.write(path, json.dumps(asdict(kept), indent=1).encode())

    def _drop(self, uuid: str, kept: _Kept) -> None:
        for each in self._kept(uuid):
            if each.parent == kept.name:
                self._save(uuid, replace(each, parent=kept.parent))
        domain = self._directory.domain(uuid)
        if domain is not None and domain.snapshot == kept.name:
            self._directory.save(replace(domain, snapshot=kept.parent))
        self._remove(_stem(uuid, kept.name, kept.operation))

    def _remove(self, stem: str) -> bool:
        """Remove the files whose names begin so; whether there were any."""
        files = [
            path
            for path in self._directory.files("snapshots", "")
            if path.name.startswith(f"{stem}.")
        ]
        for path in sorted(files, key=lambda path: path.suffix == ".json"):
            self._directory.remove(path)
        return bool(files)

    def _refuse_taken(self, domain: Domain, name: str) -> None:
        if any(each.name == name for each in self._kept(domain.uuid)):
            raise ConflictError(
                f"VM {domain.name!r} has a snapshot {name!r} already",
                code="snapshot-exists",
                vm=domain.name,
                hint="choose another name",
            )


def _stem(uuid: str, name: str, operation: str) -> str:
    return f"{uuid}.{name}-{operation}"


def _read(path: Path) -> _Kept:
    values: dict[str, Any] = json.loads(path.read_bytes())
    return _Kept(**values)


def _as_then(now: Domain, then: Domain, kept: _Kept) -> Domain:
    """The VM as it was; its mark stays its own, but for what its guest was told."""
    state = "defined" if then.state == "defined" else "off"
    mark = now.mark
    if mark is not None and then.mark is not None:
        mark = replace(mark, digest=then.mark.digest, nonce=then.mark.nonce)
    return replace(
        now,
        state=SUSPENDED if kept.memory else state,
        mark=mark,
        receipt=then.receipt,
        console=then.console,
        snapshot=kept.name,
    )
