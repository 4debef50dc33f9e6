"""What the store keeps of operations, and what it makes of stores of earlier versions."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

import pytest

from ims_core import ConflictError, Context, Interface, Resource
from ims_core.codec import context_to_json
from ims_core.store import Operation, Outcome, Reservation, Step
from ims_core.store.locks import Locks
from ims_core.store.schema import MIGRATIONS, VERSION
from ims_core.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path)
    yield store
    store.close()


def operation(number: int, subject: str = "", **changes: Any) -> Operation:
    name, uuid = subject or f"web{number}", f"u{number}"
    created = Operation(f"{number:016x}", "create-vm", "p", name, uuid, started=float(number))
    return replace(created, **changes)


def test_an_operation_comes_back_as_it_was_recorded(store: SqliteStore) -> None:
    given = operation(1, request="r-1", endpoint="here", goal="g")
    store.begin(given)
    resources = [Resource("volume", "b", given.id), Resource("domain", "a", given.id)]
    for each in resources:
        store.announce(each)
    store.announce(Resource("volume", "gone", given.id))
    store.retract(Resource("volume", "gone", given.id))
    steps = [Step("create", "first", 1.5), Step("start", "then", 2.5)]
    for step in steps:
        store.enter(given.id, step)
    store.aim(given.id, "another")
    whole = replace(given, goal="another", resources=tuple(resources), steps=tuple(steps))
    assert store.operation(given.id) == whole
    assert store.operation("r-1") == whole
    assert store.operations("p", unfinished=True) == [replace(given, goal="another")]
    store.finish(given.id, Outcome.DONE, {})
    assert store.operations("p", unfinished=True) == []
    assert store.operations("other") == []


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_name_and_a_request_are_taken_until_what_has_them_ended_well_or_left_nothing(
    store: SqliteStore, outcome: Outcome
) -> None:
    store.begin(operation(1, request="r"))
    store.finish(operation(1).id, outcome, {})
    name_is_free = outcome not in (Outcome.RUNNING, Outcome.UNFINISHED)
    request_is_free = outcome is Outcome.FAILED
    for free, rival in (
        (name_is_free, operation(2, subject="web1")),
        (request_is_free, operation(3, request="r")),
    ):
        if free:
            store.begin(rival)
            continue
        with pytest.raises(ConflictError) as caught:
            store.begin(rival)
        assert caught.value.operation == operation(1).id
        assert store.operation(rival.id) is None


def test_a_claim_that_fails_leaves_no_operation(store: SqliteStore) -> None:
    mine = Reservation("p", "n", "192.0.2.1", "u1")
    store.begin(operation(1), lambda _taken: [mine])

    def refuse(taken: object) -> list[Reservation]:
        assert taken == [mine]
        raise ConflictError("taken")

    with pytest.raises(ConflictError):
        store.begin(operation(2), refuse)
    assert store.operation(operation(2).id) is None
    assert store.reservations() == [mine]
    store.reserve("u1", lambda _taken: [])
    assert store.reservations() == []


def test_old_operations_are_dropped_with_what_belongs_to_them(store: SqliteStore) -> None:
    with store._db.transaction():
        for number in range(1, 10_001):
            store._db.run(
                "INSERT INTO operations VALUES (?, 'stop-vm', 'p', 's', 'v', '', '', '', 1, 2,"
                " 'done', '{}')",
                f"{number:016x}",
            )
    store.announce(Resource("volume", "old", f"{1:016x}"))
    store.enter(f"{1:016x}", Step("stop", "old", 1.0))
    store.begin(operation(20_000))
    assert store.operation(f"{1:016x}") is None
    assert store.operation(f"{2:016x}") is not None
    assert store._db.run("SELECT count(*) FROM steps") == [(0,)]
    assert store._db.run("SELECT count(*) FROM resources") == [(0,)]


def test_a_store_of_each_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    cards = (
        Interface(network="lab", addresses=("192.0.2.7/24", "2001:db8::7/64")),
        Interface(network="lab"),
    )
    mark = json.dumps({"store": "s", "operation": "o", "vm": "u1", "complete": True})
    for version in range(1, VERSION):
        path = tmp_path / str(version) / "ims.sqlite"
        path.parent.mkdir()
        with sqlite3.connect(path) as old:
            for statements in MIGRATIONS[:version]:
                for statement in statements:
                    old.execute(statement)
            old.execute("INSERT INTO identity VALUES ('the-store')")
            row = (
                "u1",
                "p",
                "web01",
                "bootparams",
                "iso",
                context_to_json(Context("u1", "web01", cards)),
                mark,
            )
            old.execute("INSERT INTO vms VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            damaged = ("u2", "other", "web02", "bootparams", "iso", "{damaged", mark)
            old.execute("INSERT INTO vms VALUES (?, ?, ?, ?, ?, ?, ?)", damaged)
            old.execute(f"PRAGMA user_version = {version}")
        old.close()
        store = SqliteStore(path.parent)
        assert store.id == "the-store"
        assert [each.name for each in store.intents("p")] == ["web01"]
        assert {(each.network, each.address, each.vm) for each in store.reservations()} == {
            ("lab", "192.0.2.7", "u1"),
            ("lab", "2001:db8::7", "u1"),
        }
        store.begin(operation(1))
        store.close()
    fresh = SqliteStore(tmp_path / "fresh")
    assert fresh._db.run("PRAGMA user_version") == [(VERSION,)]
    fresh.close()


def test_a_lock_keeps_threads_apart_and_says_when_it_cannot_be_had(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "locks")
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(20):
            with locks.hold("a/../b", seconds=30):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert most == [1]
    assert list((tmp_path / "locks").iterdir()) == []
    with locks.hold("a", seconds=0), pytest.raises(TimeoutError), locks.hold("a", seconds=0.05):
        pass


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from ims_core.store.locks import Locks\n"
        "with Locks(Path(sys.argv[1])).hold('a', seconds=0):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        locks = Locks(tmp_path)
        with pytest.raises(TimeoutError), locks.hold("a", seconds=0):
            pass
        holder.kill()
        with locks.hold("a", seconds=20):
            pass


def test_a_lock_of_a_file_that_is_gone_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking, its last holder removed the file, and somebody made another."""
    others: list[IO[str]] = []

    def late(descriptor: int, operation: int) -> None:
        if not others:
            (tmp_path / "a").unlink()
            others.append((tmp_path / "a").open("w"))
            flock(others[0].fileno(), fcntl.LOCK_EX)
        flock(descriptor, operation)

    flock = fcntl.flock
    monkeypatch.setattr("ims_core.store.locks.fcntl.flock", late)
    with pytest.raises(TimeoutError), Locks(tmp_path).hold("a", seconds=0):
        pass
    others[0].close()
