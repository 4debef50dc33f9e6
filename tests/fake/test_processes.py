"""Guests that are processes: what is seen of them, and that none stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

from ims_core.errors import ConflictError, DeadlineError, NotFoundError
from ims_core.models import State
from ims_core.testing.bench import Bench
from ims_fake.keeper import look
from ims_fake.process import Process
from ims_fake.processes import Processes
from tests.fake.pools import left_below, processes_below, settings_of, target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ims_core.testing.bench import Order
    from ims_fake.domain import Domain
    from ims_fake.guests import Answer

SECONDS = 30.0
MANY = 30


@dataclass(frozen=True)
class Lab:
    """A pool of processes, and what makes VMs in it."""

    pool: Path
    bench: Bench

    def ready(self) -> Order:
        """A VM whose guest has answered."""
        order = self.bench.started()
        self.bench.answered(order, order.delivery.nonce)
        return order

    def state(self, order: Order) -> State:
        return self.bench.look(order.uuid).state

    def process(self, order: Order) -> Process:
        found = Process.parse((self.folder(order) / "power").read_bytes())
        assert found is not None
        return found

    def folder(self, order: Order) -> Path:
        return self.pool / "guests" / order.uuid

    def becomes(self, order: Order, state: State) -> None:
        self.bench.eventually(f"{state}", lambda: self.state(order) is state)

    def empties(self) -> None:
        """Nothing runs there any more, after a while."""
        self.bench.eventually("no process", lambda: not processes_below(self.pool))


@pytest.fixture
def make_lab(pool: Path) -> Iterator[Callable[..., Lab]]:
    with ExitStack() as stack:

        def make(**settings: Any) -> Lab:
            settings = {"guests": "processes", "guest_seconds": 300, **settings}
            bench = Bench(stack.enter_context(target_of(pool, **settings)))
            stack.callback(lambda: bench.clean() if pool.exists() else None)
            return Lab(pool, bench)

        yield make
    assert not left_below(pool)


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab()


# --- what is seen of them ---


def test_a_guest_that_was_killed_has_crashed_and_starts_again(lab: Lab) -> None:
    order = lab.ready()
    os.kill(lab.process(order).guest, signal.SIGKILL)
    lab.becomes(order, State.CRASHED)
    lab.empties()
    second = lab.bench.delivery(order.spec, again="yes")
    lab.bench.provider.start(order.uuid, second)
    lab.bench.answered(order, second.nonce)


def test_a_guest_that_obeyed_somebody_else_has_stopped(lab: Lab) -> None:
    order = lab.ready()
    os.kill(lab.process(order).guest, signal.SIGTERM)
    lab.becomes(order, State.STOPPED)


def test_a_guest_does_not_outlive_its_keeper(lab: Lab) -> None:
    order = lab.ready()
    os.kill(lab.process(order).keeper, signal.SIGKILL)
    lab.becomes(order, State.CRASHED)
    lab.empties()


def test_a_guest_that_was_held_outside_of_the_pool_is_seen_paused(lab: Lab) -> None:
    order = lab.ready()
    os.killpg(lab.process(order).guest, signal.SIGSTOP)
    lab.becomes(order, State.PAUSED)
    lab.bench.provider.resume(order.uuid)  # type: ignore[attr-defined]
    assert lab.state(order) is State.RUNNING


def test_another_process_with_its_number_is_not_taken_for_the_guest(lab: Lab) -> None:
    order = lab.ready()
    process = lab.process(order)
    os.kill(process.guest, signal.SIGKILL)
    lab.becomes(order, State.CRASHED)
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as other:
        try:
            reused = replace(process, guest=other.pid, keeper=other.pid)
            reused.noted("crashed", str(lab.folder(order)))
            assert lab.state(order) is State.CRASHED
            lab.bench.provider.stop(order.uuid, force=True, timeout=SECONDS)
            lab.bench.provider.delete(order.uuid)
            assert other.poll() is None, "it was ended in the guest's stead"
        finally:
            other.kill()


def test_a_note_that_cannot_be_read_is_a_guest_that_crashed(lab: Lab) -> None:
    order = lab.ready()
    process = lab.process(order)
    (lab.folder(order) / "power").write_text("half a no")
    assert lab.state(order) is State.CRASHED
    process.end()
    assert process.await_end(SECONDS)


# --- how they run ---


def test_a_guest_is_detached_and_has_nothing_of_ours_open(lab: Lab) -> None:
    kept = os.open(lab.pool, os.O_RDONLY)
    os.set_inheritable(kept, True)
    order = lab.ready()
    os.close(kept)
    folder, process = lab.folder(order), lab.process(order)
    for pid in (process.guest, process.keeper):
        assert os.getsid(pid) == process.keeper
        assert Path(f"/proc/{pid}/cwd").readlink() == folder
        assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    keepers = {str(each.readlink()) for each in Path(f"/proc/{process.keeper}/fd").iterdir()}
    assert keepers == {"/dev/null", str(folder / "console"), str(folder / "lock")}
    for path in folder.rglob("*"):
        if path.relative_to(folder).parts[0] != "root":
            assert path.is_symlink() or path.stat().st_mode & 0o077 == 0, path


def test_what_it_printed_is_its_console(lab: Lab) -> None:
    order = lab.ready()
    printed = lab.bench.provider.console_tail(order.uuid, 10)  # type: ignore[attr-defined]
    assert printed[0] == f"{order.name}: booting"
    lab.bench.eventually(
        "it says so",
        lambda: any(
            line.startswith("ims-context: applied")
            for line in lab.bench.provider.console_tail(order.uuid, 10)  # type: ignore[attr-defined]
        ),
    )


def test_a_guest_lives_no_longer_than_it_may(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(guest_seconds=2)
    orders = [lab.bench.started(), lab.bench.started()]
    lab.bench.provider.pause(orders[1].uuid)  # type: ignore[attr-defined]
    for order in orders:
        lab.becomes(order, State.STOPPED)
        printed = lab.bench.provider.console_tail(order.uuid, 1)  # type: ignore[attr-defined]
        assert printed == ("the guest's time is over",)
    lab.empties()


def test_a_guest_ends_when_its_vm_is_gone_from_the_pool(lab: Lab) -> None:
    order = lab.ready()
    (lab.pool / "domains" / f"{order.uuid}.json").unlink()
    lab.empties()


@pytest.mark.parametrize("paused", [False, True])
def test_a_guest_ends_when_the_pool_is_removed(lab: Lab, paused: bool) -> None:
    order = lab.ready()
    if paused:
        lab.bench.provider.pause(order.uuid)  # type: ignore[attr-defined]
    before = processes_below(lab.pool)
    assert before
    while lab.pool.exists():  # the guest may make a file just now
        shutil.rmtree(lab.pool, ignore_errors=True)
    lab.bench.eventually("all ended", lambda: not any(map(is_there, before)))


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_one_that_ignores_it_keeps_running_until_it_is_forced(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(shutdown="ignores")
    order = lab.ready()
    with pytest.raises(DeadlineError):
        lab.bench.provider.stop(order.uuid, force=False, timeout=0.3)
    assert lab.state(order) is State.RUNNING
    os.kill(lab.process(order).guest, signal.SIGKILL)
    lab.becomes(order, State.CRASHED)


def test_of_two_starts_at_once_one_is_refused(lab: Lab) -> None:
    order = lab.bench.created()
    outcomes: list[str] = []

    def start() -> None:
        try:
            lab.bench.provider.start(order.uuid, order.delivery)
        except ConflictError as error:
            outcomes.append(error.code)
        else:
            outcomes.append("started")

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert sorted(outcomes) == ["started", "vm-running"]
    assert lab.state(order) is State.RUNNING


def test_a_deleted_vm_leaves_no_process_and_no_file(lab: Lab) -> None:
    order = lab.ready()
    lab.bench.provider.delete(order.uuid)
    assert not left_below(lab.pool)
    assert not lab.folder(order).exists()


def test_a_vm_that_is_deleted_while_it_starts_leaves_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = lab.bench.created()
    boot = Processes.boot

    def meddle(self: Processes, domain: Domain, seed: bytes) -> Answer:
        answer = boot(self, domain, seed)
        (lab.pool / "domains" / f"{order.uuid}.json").unlink()
        return answer

    monkeypatch.setattr(Processes, "boot", meddle)
    with pytest.raises(NotFoundError):
        lab.bench.provider.start(order.uuid, order.delivery)
    assert not left_below(lab.pool)
    assert not lab.folder(order).exists()
    monkeypatch.undo()
    lab.bench.roll_back(order.undo)
    order.made = False


def test_what_a_guest_has_done_is_done_again_only_where_its_context_changed(lab: Lab) -> None:
    order = lab.ready()
    applied = lab.folder(order) / "root/var/lib/ims/applied"
    before = applied.read_text()
    lab.bench.provider.stop(order.uuid, force=False, timeout=SECONDS)
    second = lab.bench.delivery(order.spec, other="yes")
    lab.bench.provider.start(order.uuid, second)
    lab.bench.answered(order, second.nonce)
    assert applied.read_text() == before


def test_pretended_answers_are_no_processes(pool: Path) -> None:
    with pytest.raises(pydantic.ValidationError, match="answer truly"):
        settings_of(pool, guests="processes", receipts="none")


def test_many_are_ready_soon(lab: Lab, say: Callable[[str], None]) -> None:
    begun = time.monotonic()
    orders = [lab.bench.started() for _ in range(MANY)]
    started = time.monotonic() - begun
    for order in orders:
        lab.bench.answered(order, order.delivery.nonce)
    ready = time.monotonic() - begun
    begun = time.monotonic()
    for order in orders:
        lab.bench.provider.delete(order.uuid)
    deleted = time.monotonic() - begun
    assert not left_below(lab.pool)
    say(
        f"{MANY} guests that are processes: made and started in {started:.1f} s, all ready after"
        f" {ready:.1f} s, deleted in {deleted:.1f} s"
    )


# Its child is still this program, as its start waits for somebody who writes into a FIFO.
VFORKING = """
import os, sys, time
wait = (os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)
os.posix_spawn("/bin/sleep", ["sleep", "60"], {}, file_actions=[wait])
time.sleep(60)
"""


def test_a_guest_that_begins_a_program_just_then_is_held(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = [sys.executable, "-c", VFORKING, str(fifo)]
    with subprocess.Popen(command, start_new_session=True) as guest:
        try:
            end = time.monotonic() + SECONDS
            while look(guest.pid)[0] != "D":
                assert time.monotonic() < end
                time.sleep(0.01)
            process = Process("off", guest.pid, look(guest.pid)[1], 0, "")
            threading.Timer(0.2, lambda: fifo.open("wb").close()).start()
            assert process.hold(SECONDS)
            assert process.is_held()
            assert process.release(SECONDS)
        finally:
            os.killpg(guest.pid, signal.SIGKILL)
