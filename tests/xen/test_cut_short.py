"""Scripts that end in the middle, at each step in turn, as when the dom0's power fails or somebody
kills them; what comes next must find its way from whatever was left."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import ConflictError, ImsError
from ims_core.models import State
from ims_core.spi import Discarded
from ims_core.undo import Undo
from tests.xen.pretended import OPERATION, PretendedXen, delivery, mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ims_core.models import VMSpec
    from tests.xen.pretended import PretendedXen as Xen

FEWEST = 2
"""Steps that every script has; fewer would mean that nothing was cut at all."""
MOST = 100


def each_cut(
    folder: Path, prepare: Callable[[Xen], VMSpec], run: Callable[[Xen, VMSpec], object]
) -> Iterator[tuple[Xen, VMSpec]]:
    """What a script leaves, for each of its steps; at last what it leaves when it is not cut."""
    xen = PretendedXen(folder)
    xen.without_store()
    spec = prepare(xen)
    xen.keep()
    for step in range(1, MOST):
        xen.restore()
        xen.cut_at(step)
        with suppress(ImsError):
            run(xen, spec)
        cut = xen.cut_off()
        yield xen, spec
        xen.check()
        if not cut:
            assert step >= FEWEST
            return
    pytest.fail(f"more than {MOST} steps")


def _start(xen: Xen, spec: VMSpec) -> None:
    xen.provider.start(spec.uuid, delivery("n2", key="value"))


def _resume(xen: Xen, spec: VMSpec) -> None:
    xen.provider.resume(spec.uuid)


def _suspend(xen: Xen, spec: VMSpec) -> None:
    xen.provider.suspend(spec.uuid)


def _state(xen: Xen) -> State:
    (vm,) = xen.provider.inspect()
    return vm.state


def test_a_create_that_was_cut_short_is_discarded_and_leaves_nothing(tmp_path: Path) -> None:
    undo = Undo(OPERATION)

    def create(xen: Xen, spec: VMSpec) -> None:
        xen.provider.create(spec, delivery(), mark(spec), undo)

    for xen, _ in each_cut(tmp_path, PretendedXen.spec, create):
        assert not undo.roll_back(xen.provider, expired=lambda: False).all
        assert not list(xen.pool.glob("vms/*")) + list(xen.pool.glob("making/*"))
        assert not xen.provider.inspect()
        undo.announced.clear()


def test_a_start_that_was_cut_short_can_be_repeated(tmp_path: Path) -> None:
    for xen, spec in each_cut(tmp_path, PretendedXen.created, _start):
        assert _state(xen) in (State.DEFINED, State.STARTING, State.RUNNING)
        with suppress(ConflictError):  # it runs already
            _start(xen, spec)
        assert _state(xen) is State.RUNNING
        (domain,) = xen.domains()
        assert domain["letters"] == "-b----"
        calls = [line.split() for line in (xen.xen / "calls").read_text().splitlines()]
        assert calls.index(["keys", domain["id"]]) < calls.index(["unpause", domain["id"]])
        (vm,) = xen.provider.inspect()
        assert vm.mark is not None
        assert vm.mark.nonce == "n2"


def test_a_vm_that_ran_is_not_destroyed_although_its_start_was_cut_short(tmp_path: Path) -> None:
    for xen, spec in each_cut(tmp_path, PretendedXen.created, _start):
        before = xen.domains()
        if not before or before[0]["letters"] == "--p---":
            continue
        # Somebody holds its CPUs, so it looks as it did before it ran.
        xen.set_letters("--p---")
        assert _state(xen) is State.PAUSED
        with pytest.raises(ConflictError):
            _start(xen, spec)
        assert [each["id"] for each in xen.domains()] == [each["id"] for each in before]


def test_a_running_vm_can_be_suspended_and_stopped_although_its_start_was_cut_short(
    tmp_path: Path,
) -> None:
    for xen, spec in each_cut(tmp_path, PretendedXen.created, _start):
        if _state(xen) is State.RUNNING:
            _suspend(xen, spec)
            assert _state(xen) is State.SUSPENDED
            xen.provider.stop(spec.uuid, force=True, timeout=1)
            assert _state(xen) is State.STOPPED, "it ran, so it is not only defined"


def test_a_suspend_that_was_cut_short_loses_nothing(tmp_path: Path) -> None:
    for xen, spec in each_cut(tmp_path, PretendedXen.started, _suspend):
        assert _state(xen) in (State.RUNNING, State.SUSPENDED)
        _suspend(xen, spec)
        assert _state(xen) is State.SUSPENDED
        _resume(xen, spec)
        assert _state(xen) is State.RUNNING


def test_a_resume_that_was_cut_short_can_be_repeated(tmp_path: Path) -> None:
    for xen, spec in each_cut(tmp_path, PretendedXen.suspended, _resume):
        assert _state(xen) in (State.SUSPENDED, State.STARTING, State.RUNNING)
        _resume(xen, spec)
        assert _state(xen) is State.RUNNING
        assert len(xen.calls("unpause")) >= 2, "one for the start, one for this"
        assert not list(xen.vm().glob("memory*"))


def test_memory_is_never_used_again_once_the_guest_ran(tmp_path: Path) -> None:
    def off(xen: Xen) -> None:
        for domain in xen.domains():
            xen.remove_foreign(domain["id"])

    def paused(xen: Xen) -> None:
        if xen.domains():
            xen.set_letters("--p---")

    for meddle in (off, paused):
        folder = tmp_path / meddle.__name__
        for xen, spec in each_cut(folder, PretendedXen.suspended, _resume):
            meddle(xen)
            for _ in range(2):
                with suppress(ConflictError):
                    _resume(xen, spec)
            xen.check()


def test_a_start_gives_up_no_memory_of_a_resume_that_was_cut_short(tmp_path: Path) -> None:
    for xen, spec in each_cut(tmp_path, PretendedXen.suspended, _resume):
        ran = len(xen.calls("unpause")) > 1
        with pytest.raises(ConflictError) as caught:
            _start(xen, spec)
        if ran:
            assert caught.value.code == "vm-running"
        else:
            assert caught.value.code == "vm-suspended"
            _resume(xen, spec)
            assert len(xen.calls("restore")) >= 1
        assert len(xen.calls("create")) == 1, "it was started once, before it was suspended"


def test_nothing_of_saved_memory_is_left_by_a_vm_that_starts_anew(tmp_path: Path) -> None:
    for xen, spec in each_cut(tmp_path, PretendedXen.suspended, _resume):
        for domain in xen.domains():  # the dom0 started anew
            xen.remove_foreign(domain["id"])
        if _state(xen) is State.SUSPENDED:
            continue
        _start(xen, spec)
        assert not list(xen.vm().glob("memory*"))


def test_a_forced_stop_ends_what_a_resume_left(tmp_path: Path) -> None:
    for xen, spec in each_cut(tmp_path, PretendedXen.suspended, _resume):
        xen.provider.stop(spec.uuid, force=True, timeout=1)
        assert _state(xen) is State.STOPPED
        assert not xen.domains()
        assert not list(xen.vm().glob("memory*"))


def test_a_forced_stop_that_was_cut_short_can_be_repeated(tmp_path: Path) -> None:
    def stop(xen: Xen, spec: VMSpec) -> None:
        xen.provider.stop(spec.uuid, force=True, timeout=1)

    for xen, spec in each_cut(tmp_path, PretendedXen.started, stop):
        stop(xen, spec)
        assert _state(xen) is State.STOPPED
        assert not xen.domains()


@pytest.mark.parametrize("prepare", [PretendedXen.started, PretendedXen.suspended])
def test_a_delete_that_was_cut_short_can_be_repeated(
    tmp_path: Path, prepare: Callable[[Xen], VMSpec]
) -> None:
    def delete(xen: Xen, spec: VMSpec) -> None:
        xen.provider.delete(spec.uuid)

    for xen, spec in each_cut(tmp_path, prepare, delete):
        there = {vm.uuid for vm in xen.provider.inspect()}
        if xen.domains() or (xen.vm() / "root.raw").exists():
            assert there == {spec.uuid}, "what is half gone can still be named"
        delete(xen, spec)
        assert not xen.domains()
        assert not xen.provider.inspect()
        assert not list(xen.pool.glob("vms/*/*"))
        xen.created(spec.name)  # its name is free again


def test_a_mark_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    def write(xen: Xen, spec: VMSpec) -> None:
        xen.provider.write_mark(spec.uuid, mark(spec, complete=True))

    for xen, spec in each_cut(tmp_path, PretendedXen.created, write):
        (vm,) = xen.provider.inspect()
        assert vm.mark in (mark(spec), mark(spec, complete=True))
        write(xen, spec)
        (vm,) = xen.provider.inspect()
        assert vm.mark == mark(spec, complete=True)
        assert not (xen.vm() / ".new").exists()


def test_a_template_whose_removal_was_cut_short_can_be_removed(tmp_path: Path) -> None:
    def delete(xen: Xen, _spec: VMSpec) -> None:
        xen.provider.delete_template("tiny")

    for xen, spec in each_cut(tmp_path, PretendedXen.spec, delete):
        if (xen.pool / "templates/tiny").exists():
            delete(xen, spec)
        assert not list(xen.pool.glob("templates/*"))


def test_a_template_that_was_half_discarded_is_discarded(tmp_path: Path) -> None:
    resource = ("template", f"tiny/{OPERATION}")

    def imported(xen: Xen) -> VMSpec:
        spec = xen.spec()
        manifest = xen.pool / "templates/tiny/manifest.json"
        manifest.write_text(f'{{\n "name": "tiny",\n "operation": "{OPERATION}"\n}}')
        return spec

    def discard(xen: Xen, _spec: VMSpec) -> None:
        undo = Undo(OPERATION)
        undo.announce(*resource)
        (announced,) = undo.announced
        assert xen.provider.discard(announced) is not Discarded.NOT_OURS

    for xen, spec in each_cut(tmp_path, imported, discard):
        discard(xen, spec)
        assert not list(xen.pool.glob("templates/*"))
