"""Watching a pool, whose hypervisor tells what happens or is looked at repeatedly."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ims_core import AccessDeniedError, BusyError, CancelledError, State, UnavailableError, Watched
from ims_core.store import Operation
from ims_fake import FakeProvider
from ims_fake.guests import Answer
from tests.fake.pools import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ims_core import VM, Delivery, Ims

EVERY = 0.05


class Telling:
    """A feature that no provider has."""


class Log:
    """What a watch has told so far, and waiting for more."""

    def __init__(self) -> None:
        self.seen: list[Watched] = []
        self._more = threading.Condition()

    def add(self, watched: Watched) -> None:
        with self._more:
            self.seen.append(watched)
            self._more.notify_all()

    def until(self, what: str, vm: str = "", count: int = 1) -> Watched:
        """The ``count``-th of its kind, once it is there."""
        with self._more:
            assert self._more.wait_for(lambda: len(self._of(what, vm)) >= count, 20), self.seen
        return self._of(what, vm)[count - 1]

    def words(self, vm: str) -> list[str]:
        return [each.what for each in self.seen if each.vm == vm]

    def _of(self, what: str, vm: str) -> list[Watched]:
        return [each for each in self.seen if (each.what, each.vm) == (what, vm)]


@contextmanager
def watching(ims: Ims) -> Iterator[Log]:
    log = Log()

    def watch() -> None:
        for each in ims.watch(every=EVERY):
            log.add(each)

    handle = ims.submit(watch)
    try:
        log.until("listening")
        yield log
    finally:
        handle.cancel()
        with pytest.raises(Exception, match="cancelled"):
            handle.result(20)


@pytest.fixture(params=["told", "looked at"])
def ims(
    connect: Callable[..., Ims], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Ims:
    if request.param == "looked at":
        monkeypatch.setattr("ims_core.service.changes.Watch", Telling)
    return connect()


@contextmanager
def somebody_else(pool: Path) -> Iterator[FakeProvider]:
    with FakeProvider.open(settings_of(pool)) as provider:
        yield provider


def restarted_by_others(pool: Path, log: Log, vm: VM) -> None:
    """Off and on again, with a look of the watch between."""
    before = log.words(vm.name).count("stopped")
    with somebody_else(pool) as provider:
        provider.stop(vm.uuid, force=True, timeout=1)
        log.until("stopped", vm.name, before + 1)
        provider.start(vm.uuid, None)


def nonce(ims: Ims, name: str) -> str:
    mark = ims.show_vm(name).mark
    assert mark is not None
    return mark.nonce


def lose(broken: pytest.MonkeyPatch) -> None:
    """Nobody answers any more."""

    def lost(*_: object, **__: object) -> None:
        raise UnavailableError("nobody answers")

    for name in ("inspect", "changes"):
        broken.setattr(FakeProvider, name, lost)


def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """IMS's own starts do not count as just made any more."""
    monkeypatch.setattr("ims_core.service.watching._LATE", -3600.0)


def test_a_vm_that_others_start_is_told_anew_and_answers(
    ims: Ims, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = ims.create_vm("web01", wait="ready")
    settled(monkeypatch)
    with watching(ims) as log:
        for count in (1, 2):
            before = nonce(ims, "web01")
            restarted_by_others(pool, log, vm)
            log.until("answered", "web01", count)
            assert nonce(ims, "web01") != before
    assert log.words("web01") == ["stopped", "started", "told", "answered"] * 2
    shown = ims.show_vm("web01")
    assert shown.receipt is not None
    assert shown.receipt.nonce == nonce(ims, "web01")
    [told, *_] = [each for each in ims.list_operations() if each.kind == "update-context"]
    assert told.outcome == "done"


def test_what_is_pending_is_told_then(
    ims: Ims, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = ims.create_vm("web01", wait="ready")
    ims.stop_vm("web01", force=True)
    ims.update_context("web01", lambda context: replace(context, hostname="other.example"))
    settled(monkeypatch)
    with watching(ims) as log:
        with somebody_else(pool) as provider:
            provider.start(vm.uuid, None)
        log.until("answered", "web01")
    assert not ims.show_vm("web01").context_pending


def test_what_ims_itself_starts_is_left_alone(ims: Ims) -> None:
    with watching(ims) as log:
        ims.create_vm("web01", wait="ready")
        log.until("started", "web01")
        ims.stop_vm("web01", force=True)
        log.until("stopped", "web01")
        ims.start_vm("web01", wait="ready")
        assert log.until("started", "web01", 2).message == "by IMS"
    assert log.words("web01") == ["started", "stopped", "started"]


def test_a_layout_that_is_read_at_boot_only_is_said_to_be_so(
    ims: Ims, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = ims.create_vm("web01", layout="nocloud")
    before = nonce(ims, "web01")
    settled(monkeypatch)
    with watching(ims) as log:
        restarted_by_others(pool, log, vm)
        assert "next start" in log.until("failed", "web01").message
    assert nonce(ims, "web01") == before


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch, vm: VM) -> Iterator[None]:
    """Whatever runs there is shown as paused."""
    whole = FakeProvider.inspect

    def inspect(self: FakeProvider, *args: Any, **options: Any) -> list[VM]:
        return [
            replace(each, state=State.PAUSED)
            if each.uuid == vm.uuid and each.state is State.RUNNING
            else each
            for each in whole(self, *args, **options)
        ]

    with monkeypatch.context() as patched:
        patched.setattr(FakeProvider, "inspect", inspect)
        yield


def test_a_vm_that_is_held_from_its_start_is_told_once_it_runs(
    ims: Ims, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = ims.create_vm("web01", wait="ready")
    settled(monkeypatch)
    before = nonce(ims, "web01")
    with watching(ims) as log:
        with held(monkeypatch, vm):
            restarted_by_others(pool, log, vm)
            log.until("started", "web01")
            ims.create_vm("web02", wait="ready")
            log.until("answered", "web02")
            assert nonce(ims, "web01") == before
        log.until("answered", "web01")
    assert log.words("web01") == ["stopped", "started", "told", "answered"]


def test_one_that_is_held_and_stopped_is_not_told(
    ims: Ims, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = ims.create_vm("web01", wait="ready")
    settled(monkeypatch)
    before = nonce(ims, "web01")
    with watching(ims) as log, somebody_else(pool) as provider:
        with held(monkeypatch, vm):
            restarted_by_others(pool, log, vm)
            log.until("started", "web01")
            provider.stop(vm.uuid, force=True, timeout=1)
            log.until("stopped", "web01", 2)
        ims.create_vm("web02", wait="ready")
        log.until("answered", "web02")
    assert nonce(ims, "web01") == before


def test_a_change_is_told_of_once_though_its_renewal_is_tried_twice(
    ims: Ims, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = ims.create_vm("web01", wait="ready")
    settled(monkeypatch)
    whole = FakeProvider.update_context
    lost = iter([UnavailableError("nobody answers")])

    def at_first_lost(self: FakeProvider, uuid: str, delivery: Delivery) -> None:
        for error in lost:
            raise error
        whole(self, uuid, delivery)

    monkeypatch.setattr(FakeProvider, "update_context", at_first_lost)
    with watching(ims) as log:
        restarted_by_others(pool, log, vm)
        log.until("answered", "web01")
    assert log.words("web01") == ["stopped", "started", "told", "answered"]
    assert log.until("lost").message.startswith("nobody answers")


def test_vms_of_others_are_neither_told_nor_told_of(ims: Ims, pool: Path) -> None:
    vm = ims.create_vm("web01")
    ims.session().store.forget(vm.uuid)  # as another store's
    with watching(ims) as log:
        with somebody_else(pool) as provider:
            provider.stop(vm.uuid, force=True, timeout=1)
        ims.create_vm("web02")
        log.until("started", "web02")
    assert log.words("web01") == []


def test_a_lost_connection_is_told_once_and_found_again(
    ims: Ims, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = ims.create_vm("web01", wait="ready")
    settled(monkeypatch)
    with watching(ims) as log:
        with somebody_else(pool) as provider:
            with monkeypatch.context() as broken:
                lose(broken)
                assert log.until("lost").message == "nobody answers"
                monkeypatch.setattr("ims_core.service.watching._LONGEST_PAUSE", 0.05)
            log.until("listening", count=2)
            provider.stop(vm.uuid, force=True, timeout=1)
            log.until("stopped", "web01")
            provider.start(vm.uuid, None)
        log.until("answered", "web01")
    assert [each.what for each in log.seen].count("lost") == 1


def test_what_happened_while_the_connection_was_lost_is_found(
    ims: Ims, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = ims.create_vm("web01", wait="ready")
    ims.stop_vm("web01", force=True)
    settled(monkeypatch)
    with watching(ims) as log:
        monkeypatch.setattr("ims_core.service.watching._LONGEST_PAUSE", 0.05)
        with monkeypatch.context() as broken:
            whole = FakeProvider.inspect
            lose(broken)
            log.until("lost")
            broken.setattr(FakeProvider, "inspect", whole)
            with somebody_else(pool) as provider:
                provider.start(vm.uuid, None)
        log.until("answered", "web01")


def test_a_watch_ends_in_its_time(ims: Ims) -> None:
    ims.create_vm("web01")
    [seen] = ims.watch(every=EVERY, seconds=0.2)
    assert seen.what == "listening"


def refusing(monkeypatch: pytest.MonkeyPatch, error: Exception, vm: str = "") -> None:
    """Telling that VM, or any, fails."""
    whole = FakeProvider.update_context

    def refused(self: FakeProvider, uuid: str, delivery: Delivery) -> None:
        if vm in ("", uuid):
            raise error
        whole(self, uuid, delivery)

    monkeypatch.setattr(FakeProvider, "update_context", refused)
    monkeypatch.setattr("ims_core.service.patience.BUSY_SECONDS", 0.1)


def test_a_vm_that_is_busy_keeps_no_other_from_being_told(
    ims: Ims, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, other = (ims.create_vm(name, wait="ready") for name in ("busy", "other"))
    settled(monkeypatch)
    refusing(monkeypatch, BusyError("its drive is closed"), busy.uuid)
    with watching(ims) as log:
        restarted_by_others(pool, log, busy)
        assert "its drive is closed" in log.until("failed", "busy").message
        restarted_by_others(pool, log, other)
        log.until("answered", "other")
    assert log.words("busy") == ["stopped", "started", "failed"]


@pytest.mark.parametrize("error", [CancelledError("stopped by a signal"), AccessDeniedError("no")])
def test_what_no_patience_mends_ends_the_watch(
    ims: Ims, pool: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    vm = ims.create_vm("web01", wait="ready")
    settled(monkeypatch)
    refusing(monkeypatch, error)
    seen = ims.watch(every=EVERY, seconds=20)
    assert next(seen).what == "listening"
    with somebody_else(pool) as provider:
        provider.stop(vm.uuid, force=True, timeout=1)
        assert next(seen).what == "stopped"
        provider.start(vm.uuid, None)
    with pytest.raises(type(error)):
        list(seen)


def test_a_start_that_was_killed_counts_no_more(
    ims: Ims, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = ims.create_vm("web01", wait="ready")
    settled(monkeypatch)
    with watching(ims) as log:
        session = ims.session()
        killed = Operation("f" * 16, "start-vm", session.pool.name, "web01", vm.uuid)
        session.store.begin(killed)  # and nobody holds its lock
        restarted_by_others(pool, log, vm)
        log.until("answered", "web01")


def test_who_is_told_something_else_meanwhile_owes_no_answer(
    ims: Ims, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = ims.create_vm("web01", wait="ready")
    settled(monkeypatch)
    monkeypatch.setattr("ims_core.service.watching.ANSWER_SECONDS", 1.0)
    monkeypatch.setattr("ims_fake.pretended.Pretended.tell", lambda *_: Answer())
    with watching(ims) as log:
        restarted_by_others(pool, log, vm)
        log.until("told", "web01")
        ims.update_context("web01", lambda old: replace(old, properties={"a": "b"}), wait="running")
        ims.create_vm("web02")
        log.until("started", "web02")
    assert "failed" not in log.words("web01")
