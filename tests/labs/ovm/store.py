"""What the Manager remembers: pools, servers, templates and VMs, in one SQLite file."""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tests.labs import LabError

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

__all__ = ["STATUSES", "VM", "Pool", "RefusedError", "Server", "Store", "Template"]

#: The constants of VirtualMachineBase; a status's code is its place in this row, which is a guess.
STATUSES = (
    *("CLONING", "CREATING", "DELETING", "DEPLOYING", "ERROR", "INITIALIZING", "MIGRATING"),
    *("PAUSED", "PAUSING", "POWEREDOFF", "REBOOTING", "RESUMING", "RUNNING", "SAVING"),
    *("SHUTTINGDOWN", "SUSPENDED", "SUSPENDING", "UNKNOWN", "UNPAUSING"),
)

_TABLES = """
CREATE TABLE IF NOT EXISTS pools (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS servers (
    id INTEGER PRIMARY KEY, pool INTEGER NOT NULL, name TEXT NOT NULL, ip TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS templates (
    id INTEGER PRIMARY KEY AUTOINCREMENT, pool INTEGER NOT NULL, name TEXT NOT NULL,
    status TEXT NOT NULL, message TEXT NOT NULL, UNIQUE (pool, name));
CREATE TABLE IF NOT EXISTS vms (
    id INTEGER PRIMARY KEY AUTOINCREMENT, pool INTEGER NOT NULL, name TEXT NOT NULL,
    uuid TEXT NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL, job INTEGER NOT NULL,
    memory INTEGER NOT NULL, cpus INTEGER NOT NULL, vnc_password TEXT NOT NULL,
    template INTEGER NOT NULL, created INTEGER NOT NULL, UNIQUE (pool, name));
"""

_T = TypeVar("_T", "Pool", "Server", "Template", "VM")


class RefusedError(LabError):
    """The Manager refuses an operation; the message is that of the SOAP fault."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A server pool."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Server:
    """A dom0."""

    id: int
    pool: int
    name: str
    ip: str


@dataclass(frozen=True, slots=True)
class Template:
    """A folder of seed_pool; the message says why its status is "Error"."""

    id: int
    pool: int
    name: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class VM:
    """A VM.

    Attributes:
        message: Why its status is ERROR.
        job: Counts its jobs: one that another has followed changes nothing here any more.
        memory: MiB.
        template: The template's id.
        created: Milliseconds since 1970.
    """

    id: int
    pool: int
    name: str
    uuid: str
    status: str
    message: str
    job: int
    memory: int
    cpus: int
    vnc_password: str
    template: int
    created: int

    @property
    def folder(self) -> str:
        """The name of its folder in running_pool, which is also its domain's name."""
        return f"{self.id}_{self.name}"


class Store:
    """The file, for all threads."""

    def __init__(self, path: Path) -> None:
        """Open it, or begin it."""
        self._lock = threading.RLock()
        self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._file.executescript(f"PRAGMA synchronous = OFF; {_TABLES}")

    def close(self) -> None:
        """Nothing is asked of it any more."""
        with self._lock:
            self._file.close()

    def add_pool(self, name: str, server: str = "", ip: str = "") -> None:
        """A pool, with a server or without, unless there is one of that name."""
        with self._lock:
            done = self._change("INSERT OR IGNORE INTO pools (name) VALUES (?)", name)
            if done and server:
                values = (self.pool(name).id, server, ip)
                self._change("INSERT INTO servers (pool, name, ip) VALUES (?, ?, ?)", *values)

    def pools(self) -> list[Pool]:
        """All pools."""
        return self._all(Pool, "pools")

    def pool(self, name: str) -> Pool:
        """The pool of that name."""
        return self._one(self._all(Pool, "pools WHERE name = ?", name), f"server pool {name}")

    def servers(self) -> list[Server]:
        """All servers."""
        return self._all(Server, "servers")

    def templates(self, pool: Pool) -> list[Template]:
        """All templates of a pool."""
        return self._all(Template, "templates WHERE pool = ? ORDER BY id", pool.id)

    def template(self, pool: Pool, name: str) -> Template:
        """The template of that name."""
        found = self._all(Template, "templates WHERE pool = ? AND name = ?", pool.id, name)
        return self._one(found, f"template {name}")

    def add_template(self, pool: Pool, name: str, status: str) -> Template:
        """A new one."""
        self._add("templates", pool=pool.id, name=name, status=status, message="")
        return self.template(pool, name)

    def set_template(self, template: Template, status: str, message: str = "") -> None:
        """What has become of it."""
        text = "UPDATE templates SET status = ?, message = ? WHERE id = ?"
        self._change(text, status, message, template.id)

    def remove_template(self, template: Template) -> None:
        """Forget it."""
        self._change("DELETE FROM templates WHERE id = ?", template.id)

    def vms(self, pool: Pool) -> list[VM]:
        """All VMs of a pool."""
        return self._all(VM, "vms WHERE pool = ? ORDER BY id", pool.id)

    def vm(self, pool: Pool, name: str) -> VM:
        """The VM of that name."""
        found = self._all(VM, "vms WHERE pool = ? AND name = ?", pool.id, name)
        return self._one(found, f"virtual machine {name}")

    def vm_by_id(self, number: int) -> VM:
        """The VM with that id."""
        return self._one(self._all(VM, "vms WHERE id = ?", number), f"virtual machine {number}")

    def add_vm(
        self,
        pool: Pool,
        name: str,
        *,
        status: str,
        memory: int,
        cpus: int,
        vnc_password: str = "",
        template: int = 0,
    ) -> VM:
        """A new one."""
        self._add(
            "vms",
            pool=pool.id,
            name=name,
            uuid=str(uuid.uuid4()),
            status=status,
            message="",
            job=0,
            memory=memory,
            cpus=cpus,
            vnc_password=vnc_password,
            template=template,
            created=int(time.time() * 1000),
        )
        return self.vm(pool, name)

    def add_many(self, count: int, pool: str) -> None:
        """So many VMs ``many-0000`` … that are off, and have no files."""
        with self._lock:
            self._file.execute("BEGIN")
            there = self.pool(pool)
            for number in range(count):
                self.add_vm(there, f"many-{number:04}", status="POWEREDOFF", memory=128, cpus=1)
            self._file.execute("COMMIT")

    def begin(self, vm: VM, allowed: Container[str], status: str) -> VM:
        """Begin a job on a VM, in one step with looking whether it is allowed; the VM then."""
        with self._lock:
            now = self.vm_by_id(vm.id)
            if now.status not in allowed:
                raise RefusedError(f"virtual machine {vm.name} is {now.status}")
            text = "UPDATE vms SET status = ?, message = '', job = job + 1 WHERE id = ?"
            self._change(text, status, vm.id)
            return self.vm_by_id(vm.id)

    def finish(self, vm: VM, status: str, message: str = "") -> None:
        """A status, unless the VM has another or another job by now."""
        text = "UPDATE vms SET status = ?, message = ? WHERE id = ? AND job = ? AND status = ?"
        self._change(text, status, message, vm.id, vm.job, vm.status)

    def remove_vm(self, vm: VM) -> None:
        """Forget it."""
        self._change("DELETE FROM vms WHERE id = ?", vm.id)

    def _add(self, table: str, **values: str | int) -> None:
        marks = ", ".join("?" * len(values))
        text = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"  # noqa: S608 - ours
        try:
            self._change(text, *values.values())
        except sqlite3.IntegrityError:
            raise RefusedError(f"the name {values['name']} is taken in {table}") from None

    def _all(self, kind: type[_T], where: str, *values: str | int) -> list[_T]:
        columns = ", ".join(kind.__dataclass_fields__)
        with self._lock:
            rows = self._file.execute(f"SELECT {columns} FROM {where}", values)  # noqa: S608
            return [kind(*row) for row in rows]

    def _change(self, text: str, *values: str | int) -> int:
        with self._lock:
            return self._file.execute(text, values).rowcount

    @staticmethod
    def _one(found: list[_T], what: str) -> _T:
        if not found:
            raise RefusedError(f"{what} does not exist")
        return found[0]
