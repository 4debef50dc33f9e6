"""Every step of every verb is interrupted: by the Manager, by the dom0, or by the end of IMS.

Afterwards the undo, or the verb once more, comes to the end that the contract names, nothing is
left, and nothing of anybody else was touched.
"""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from ims_core import Ims
from ims_core.errors import ConflictError, ImsError, NotFoundError, UnavailableError
from ims_core.models import Mark, State
from ims_core.spi import Discarded
from ims_core.testing.bench import Crash, CrashingUndo
from ims_core.undo import Undo
from ims_ovm import OvmProvider
from tests.labs.ovm.virtual_machines import VirtualMachines
from tests.ovm.provided import OPERATION, PretendedProvider, delivery_of, mark_of, spec_of
from tests.ovm.world import HURRY, Killed, World, new_delivery, patiently, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.labs.ovm.faults import Kind, Moment

MOST = 200
OTHER = "fedcba9876543210"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.end()


@pytest.fixture
def world(built: World) -> World:
    built.restore("nothing")
    return built


# --- the verbs, and what must come of them ---


@dataclass(frozen=True)
class Verb:
    """A verb of the contract.

    Attributes:
        begin: The state of the world in which it is asked for.
        run: Asks for it.
        end: Looks that it comes to its end, whatever happened; then nothing is left.
        changes: The Manager's operations by which it changes something.
    """

    begin: str
    run: Callable[[World, OvmProvider, Undo], object]
    end: Callable[[World, Undo], None]
    changes: tuple[str, ...]


def undone(world: World, undo: Undo) -> None:
    world.undone(undo)


def deleted(world: World, _undo: Undo) -> None:
    foreign = [each.name for each in world.provider().inspect() if each.mark is None]
    assert foreign == ["bystander"], "what is half gone stays ours"
    world.unmade()


def template_deleted(world: World, _undo: Undo) -> None:
    with suppress(NotFoundError):
        world.provider().delete_template("kit")
    assert not {each for each in world.look() if "kit" in each or "ims/" in each}
    assert not world.provider().list_templates()


def once_more(world: World, again: Callable[[OvmProvider, str], object], wanted: State) -> None:
    vm = world.vm()
    assert vm.mark is not None
    assert vm.uuid == world.spec.uuid
    if vm.state is State.UNKNOWN:
        # The Manager says that an action of its own failed. Then one thing is sure to help.
        patiently(lambda: world.provider().stop(vm.uuid, force=True, timeout=10))
        assert world.vm().state is State.STOPPED
        again, wanted = start, State.RUNNING
    patiently(lambda: again(world.provider(), vm.uuid))
    now = world.vm()
    assert (now.state, now.problem) == (wanted, "")
    if again is start:
        assert now.mark is not None
        assert now.mark.nonce == new_delivery().nonce
        (image,) = world.dom0.ovs.glob("running_pool/*_web/Bootparams.img")
        assert b"A=3\n" in image.read_bytes()
    world.unmade()


def start(provider: OvmProvider, uuid: str) -> None:
    try:
        provider.start(uuid, new_delivery())
    except ConflictError as error:
        assert error.code == "vm-running"  # noqa: PT017 - nothing else is as it should be


def stop(provider: OvmProvider, uuid: str) -> None:
    provider.stop(uuid, force=False, timeout=10)


def destroy(provider: OvmProvider, uuid: str) -> None:
    provider.stop(uuid, force=True, timeout=10)


def suspend(provider: OvmProvider, uuid: str) -> None:
    provider.suspend(uuid)


def resume(provider: OvmProvider, uuid: str) -> None:
    provider.resume(uuid)


def simple(
    begin: str, verb: Callable[[OvmProvider, str], object], wanted: State, change: str
) -> Verb:
    return Verb(
        begin,
        lambda world, provider, _undo: verb(provider, world.spec.uuid),
        lambda world, _undo: once_more(world, verb, wanted),
        (change,),
    )


VERBS = {
    "import-template": Verb(
        "nothing",
        lambda world, provider, undo: world.bring(undo, provider),
        undone,
        ("importTemplate", "approveTemplate"),
    ),
    "create": Verb(
        "nothing",
        lambda world, provider, undo: world.create(undo, provider),
        undone,
        ("createVmBasedOnTemplate",),
    ),
    "start": simple("defined", start, State.RUNNING, "powerOn"),
    "stop": simple("running", stop, State.STOPPED, "shutdown"),
    "destroy": simple("suspended", destroy, State.STOPPED, "powerOff"),
    "suspend": simple("running", suspend, State.SUSPENDED, "suspend"),
    "resume": simple("suspended", resume, State.RUNNING, "resume"),
    "delete": Verb(
        "running",
        lambda world, provider, _undo: provider.delete(world.spec.uuid),
        deleted,
        ("powerOff", "deleteVMByVMId"),
    ),
    "delete-template": Verb(
        "nothing",
        lambda _world, provider, _undo: provider.delete_template("kit"),
        template_deleted,
        ("deleteTemplate",),
    ),
}
LOOKS = ("getAllVMs", "getVMByName", "getAllTemplateResources", "getAllServerPools")
KINDS: tuple[Kind, ...] = (
    *("fault", "fault-after", "500", "drop", "drop-after"),
    *("hang", "hang-after", "job-error", "die-after"),
)


def begun(world: World, verb: Verb) -> Undo:
    world.restore(verb.begin)
    return Undo(OPERATION)


# --- the Manager fails ---

FAST_FAULTS = {
    ("import-template", "importTemplate", "fault-after"),
    ("create", "createVmBasedOnTemplate", "drop-after"),
    ("create", "createVmBasedOnTemplate", "job-error"),
    ("start", "powerOn", "die-after"),
    ("stop", "shutdown", "hang"),
    ("suspend", "suspend", "job-error"),
    ("delete", "deleteVMByVMId", "die-after"),
}
FAULTS = [
    pytest.param(*case, marks=() if case in FAST_FAULTS else pytest.mark.full, id="-".join(case))
    for name, verb in VERBS.items()
    for case in (
        *((name, operation, kind) for operation in verb.changes for kind in KINDS),
        *((name, operation, kind) for operation in LOOKS for kind in ("fault", "drop")),
    )
]


@pytest.mark.parametrize(("name", "operation", "kind"), FAULTS)
def test_what_the_manager_interrupts_comes_to_its_end(
    built: World, name: str, operation: str, kind: Kind
) -> None:
    verb, world = VERBS[name], built
    undo = begun(world, verb)
    world.manager.faults.add(operation, kind)
    provider = world.provider(seconds=HURRY if kind.startswith("hang") else 30)
    with suppress(ImsError):
        verb.run(world, provider, undo)
    if kind == "die-after":
        with suppress(UnavailableError):
            undo.roll_back(world.provider(), expired=lambda: True)
        world.reborn()
    world.manager.faults.clear()
    verb.end(world, undo)


# --- a script in the dom0 ends in the middle ---


@pytest.mark.parametrize(
    ("name", "stride"),
    [("start", 7), *(pytest.param(each, 1, marks=pytest.mark.full) for each in VERBS)],
)
@pytest.mark.parametrize("strategy", ["replace", pytest.param("mount", marks=pytest.mark.full)])
def test_a_script_that_ends_at_any_step_leaves_what_can_be_ended(
    built: World, name: str, stride: int, strategy: str
) -> None:
    verb, world = VERBS[name], built
    if strategy == "mount" and name not in ("create", "start"):
        pytest.skip("it mounts nothing")
    for step in range(1, MOST, stride):
        undo = begun(world, verb)
        world.cut_at(step)
        with suppress(ImsError):
            verb.run(world, world.provider(bootparams=strategy), undo)
        cut = world.dom0.xen.cut_off()
        if cut or step == 1:
            verb.end(world, undo)
        if not cut:
            assert step > 1, "nothing was cut at all"
            return
    pytest.fail(f"more than {MOST} steps")


# --- IMS itself is killed ---


@pytest.mark.parametrize(
    ("name", "stride"),
    [("resume", 3), *(pytest.param(each, 1, marks=pytest.mark.full) for each in VERBS)],
)
def test_an_ims_that_is_killed_after_any_call_leaves_what_can_be_ended(
    built: World, name: str, stride: int
) -> None:
    verb, world = VERBS[name], built
    for number in range(1, MOST, stride):
        undo, calls = begun(world, verb), iter(range(1, number))

        def last() -> None:
            if next(calls, None) is None:  # noqa: B023 - called in this turn only
                raise Killed

        try:
            verb.run(world, world.provider(last=last), undo)
        except Killed:
            verb.end(world, undo)
        else:
            assert number > 1, "nothing was called"
            return
    pytest.fail(f"more than {MOST} calls")


@pytest.mark.parametrize("name", ["import-template", "create"])
@pytest.mark.parametrize("recorded", [True, False])
def test_an_ims_that_is_killed_at_an_announcement_leaves_nothing(
    built: World, name: str, recorded: bool
) -> None:
    verb, world = VERBS[name], built
    for going_well in range(MOST):
        begun(world, verb)
        undo = CrashingUndo(OPERATION, left=going_well, recorded=recorded)
        try:
            verb.run(world, world.provider(), undo)
        except Crash:
            world.undone(Undo(OPERATION, undo.announced))
        else:
            assert going_well > 0
            return


# --- VMs: whose is it? ---


def namesake(world: World) -> str:
    """Somebody else's VM of the name that we want; what of it must never change."""
    world.foreign.create("web")
    return str(world.foreign.vm("web").uuid)


def is_untouched(world: World, uuid: str) -> bool:
    (vm,) = [each for each in world.provider().inspect() if each.name == "web"]
    files = {path.name for path in world.dom0.ovs.glob("running_pool/*_web/*")}
    return (vm.uuid, vm.mark, vm.state) == (uuid, None, State.STOPPED) and files == {
        "vm.cfg",
        "System.img",
        "Bootparams.img",
    }


def roll_back(world: World, undo: Undo) -> list[Discarded]:
    return [world.provider().discard(each) for each in reversed(undo.announced)]


def once(world: World, moment: Moment, then: Callable[[], object]) -> None:
    """Have this done at that moment of the next create."""
    hooks = world.manager.hooks

    def call() -> None:
        hooks.at(moment, "createVmBasedOnTemplate", None)
        then()

    hooks.at(moment, "createVmBasedOnTemplate", call)


def test_a_namesake_that_came_before_our_request_is_never_deleted(world: World) -> None:
    undo, uuids = Undo(OPERATION), list[str]()
    once(world, "before", lambda: uuids.append(namesake(world)))
    with pytest.raises(ConflictError) as caught:
        world.create(undo)
    assert caught.value.code == "vm-exists"
    assert roll_back(world, undo) == [Discarded.ABSENT] * 2
    assert is_untouched(world, uuids[0])


def test_a_namesake_that_came_between_a_failure_and_the_undo_is_never_deleted(
    world: World,
) -> None:
    undo = Undo(OPERATION)
    world.manager.faults.add("createVmBasedOnTemplate", "fault")
    with pytest.raises(ImsError, match="this was to fail"):
        world.create(undo)
    uuid = namesake(world)
    assert roll_back(world, undo) == [Discarded.ABSENT] * 2
    assert is_untouched(world, uuid)


def test_a_namesake_in_the_place_of_ours_is_not_taken_for_it(world: World) -> None:
    """Ours was made, and somebody deleted it and made another before we looked."""
    undo, uuids = Undo(OPERATION), list[str]()

    def exchange() -> None:
        world.foreign.until("POWEREDOFF", "web")
        world.foreign.deleteVMByVMId(world.foreign.vm("web").imgId)
        wait_for(lambda: "web" not in [each.imgName for each in _all(world)])
        uuids.append(namesake(world))

    once(world, "after", exchange)
    with pytest.raises(ConflictError) as caught:
        world.create(undo)
    assert caught.value.code == "vm-exists"
    assert roll_back(world, undo) == [Discarded.ABSENT] * 2
    assert is_untouched(world, uuids[0])


def _all(world: World) -> list[Any]:
    return world.foreign.getAllVMs(world.foreign.pool()) or []


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_a_vm_that_was_never_claimed_is_known_by_its_password(
    world: World, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not told:
        _tell_no_passwords(monkeypatch)
    undo = Undo(OPERATION)
    with pytest.raises(Killed):
        world.create(undo, world.provider(last=_after_the_order(world)))
    assert "web" in [each.imgName for each in _all(world)]
    # Whoever else has such a file, or knows the operation, is not taken for it.
    order = undo.announced[0]
    other = replace(order, name=order.name.replace(OPERATION, OTHER), operation=OTHER)
    assert world.provider().discard(other) is Discarded.ABSENT
    world.undone(undo)


def _tell_no_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    real = VirtualMachines._view

    def view(self: VirtualMachines, vm: object) -> object:
        return {**real(self, vm), "vncPassword": None}  # type: ignore[arg-type,dict-item]

    monkeypatch.setattr(VirtualMachines, "_view", view)


def _after_the_order(world: World) -> Callable[[], None]:
    def last() -> None:
        if world.manager.requests.count("createVmBasedOnTemplate"):
            raise Killed

    world.manager.requests.clear()
    return last


def test_a_namesake_whose_password_is_not_told_is_never_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tell_no_passwords(monkeypatch)
    test_a_namesake_that_came_before_our_request_is_never_deleted(world)
    world.restore("nothing")
    test_a_namesake_that_came_between_a_failure_and_the_undo_is_never_deleted(world)


def test_a_create_succeeds_where_nothing_tells_the_password(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tell_no_passwords(monkeypatch)
    monkeypatch.setattr("ims_ovm.making._PASSWORD", re.compile("(?!)"))
    world.create(Undo(OPERATION))
    assert world.vm().state is State.DEFINED


def test_a_vm_that_the_manager_is_still_making_is_waited_for_and_removed(world: World) -> None:
    undo = Undo(OPERATION)
    world.manager.jobs.pace["createVmBasedOnTemplate"] = 0.7
    with pytest.raises(Killed):
        world.create(undo, world.provider(last=_after_the_order(world)))
    assert world.foreign.status("web") == "CREATING"
    world.undone(undo)


def test_a_vm_that_comes_after_the_first_undo_is_found_by_the_second(world: World) -> None:
    """The Manager hung with our request, and made the VM when nobody waited any more."""
    undo, gate, done = Undo(OPERATION), threading.Event(), threading.Event()
    world.manager.hooks.at("before", "createVmBasedOnTemplate", lambda: gate.wait(20))
    world.manager.hooks.at("done", "createVmBasedOnTemplate", done.set)
    with pytest.raises(UnavailableError):
        world.create(undo, world.provider(seconds=HURRY))
    assert roll_back(world, undo) == [Discarded.ABSENT] * 2
    gate.set()
    assert done.wait(20)
    assert world.look() != world.nothing
    world.undone(undo)


def test_recovery_removes_a_vm_that_came_after_its_create_had_failed(
    world: World, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OvmProvider, "open", PretendedProvider.open)
    (own_state / "ims.toml").write_text(
        f'[pools.ovm]\nprovider = "ovm"\nmanager = "{world.url}"\nauth = "none"\n'
        f'directory = "{world.dom0.ovs}"\ntimeout = {HURRY}\n'
    )
    gate, done = threading.Event(), threading.Event()
    world.manager.hooks.at("before", "createVmBasedOnTemplate", lambda: gate.wait(20))
    world.manager.hooks.at("done", "createVmBasedOnTemplate", done.set)
    with Ims() as ims:
        with pytest.raises(UnavailableError):
            ims.create_vm("web", template="kit", wait="defined", memory=96 << 20)
        assert len(ims.list_operations(unfinished=True)) == 1, "the Manager may still make it"
    gate.set()
    assert done.wait(20)
    assert "web" in [each.imgName for each in _all(world)]
    with Ims() as ims:  # as another process
        ims.recover()
        assert ims.list_operations(unfinished=True) == []
        assert [each.name for each in ims.list_vms(include_foreign=True)] == ["bystander"]
    assert world.look() == world.nothing


def test_of_two_creates_of_one_name_one_wins_and_the_other_leaves_nothing(world: World) -> None:
    orders = [(spec_of(world.template), operation) for operation in (OPERATION, OTHER)]
    undos = [Undo(operation) for _, operation in orders]

    def make(number: int) -> str:
        spec, operation = orders[number]
        mark = replace(mark_of(spec), operation=operation)
        delivery = delivery_of("11", conf=b"A=1\n")
        try:
            world.provider().create(spec, delivery, mark, undos[number])
        except ConflictError as error:
            roll_back(world, undos[number])
            return error.code
        return "made"

    with ThreadPoolExecutor(2) as background:
        outcomes = list(background.map(make, range(2)))
    assert sorted(outcomes) == ["made", "vm-exists"]
    vm = world.vm()
    assert vm.uuid == orders[outcomes.index("made")][0].uuid
    assert (vm.state, vm.problem) == (State.DEFINED, "")
    roll_back(world, undos[outcomes.index("made")])
    assert world.look() == world.nothing


def test_the_announcement_does_not_tell_the_password(world: World) -> None:
    undo = Undo(OPERATION)
    world.create(undo)
    password = world.foreign.vm("web").vncPassword
    assert len(password) == 8
    assert not any(password in each.name for each in undo.announced)


# --- VMs: what becomes of them ---


def test_a_vm_whose_mark_is_lost_is_foreign_and_its_order_still_finds_it(world: World) -> None:
    undo = Undo(OPERATION)
    world.create(undo)
    (mark,) = world.dom0.ovs.glob("running_pool/*/ims/vm.json")
    mark.unlink()
    names = {each.name for each in world.provider().inspect() if each.mark is None}
    assert names == {"bystander", "web"}
    with pytest.raises(NotFoundError):
        world.provider().start(world.spec.uuid, None)
    world.undone(undo)


@pytest.mark.parametrize("state", ["running", "suspended"])
def test_a_delete_while_the_manager_is_deleting_waits_for_it(world: World, state: str) -> None:
    world.restore(state)
    world.manager.jobs.pace["deleteVMByVMId"] = 0.5
    world.manager.faults.add("deleteVMByVMId", "drop-after")
    with pytest.raises(UnavailableError):
        world.provider().delete(world.spec.uuid)
    assert world.vm().state is State.STOPPING
    world.unmade()


def test_a_vm_that_the_manager_lost_is_removed_but_not_under_a_running_guest(
    world: World,
) -> None:
    world.restore("running")
    store = world.manager.store
    (vm,) = [each for each in store.vms(store.pools()[0]) if each.name == "web"]
    store.remove_vm(vm)
    before = world.look()
    with pytest.raises(ConflictError) as caught:
        world.provider().delete(world.spec.uuid)
    assert caught.value.code == "vm-running"
    assert world.look() == before
    (domain,) = [each for each in world.dom0.xen.domains() if each["uuid"] == vm.uuid]
    world.dom0.xen.remove_foreign(domain["id"])
    world.unmade()


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "known"])
def test_an_adopted_vm_keeps_its_disks_when_it_is_deleted(world: World, lost: bool) -> None:
    uuid = namesake(world)
    world.provider().write_mark(uuid, Mark("store", "", uuid))
    (folder,) = world.dom0.ovs.glob("running_pool/*_web")
    disks = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    if lost:
        store = world.manager.store
        (vm,) = [each for each in store.vms(store.pools()[0]) if each.name == "web"]
        store.remove_vm(vm)
    world.provider().delete(uuid)
    kept = world.dom0.ovs / "ims/kept" / folder.name
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == disks
    assert not folder.exists()


def test_a_stop_of_what_the_manager_is_about_is_busy_not_broken(world: World) -> None:
    world.restore("defined")
    world.manager.jobs.pace["powerOn"] = 0.4
    world.manager.faults.add("powerOn", "drop-after")
    with pytest.raises(UnavailableError):
        world.provider().start(world.spec.uuid, None)
    patiently(lambda: destroy(world.provider(), world.spec.uuid))
    assert world.vm().state is State.STOPPED


# --- templates: whose is it? ---


def put_in(world: World, name: str = "brought", *, known: bool = True) -> Path:
    """Somebody else's template of that name."""
    folder = world.dom0.ovs / "seed_pool" / name
    world.dom0.seed(folder, name)
    if known:
        world.foreign.importTemplate("pool", name)
        wait_for(lambda: world.foreign.templates()[name] == "Pending Approval")
    return folder


def is_theirs(world: World, folder: Path) -> bool:
    files = {path.name for path in folder.iterdir()}
    return (
        files == {"vm.cfg", "System.img", "Bootparams.img", "vmlinuz"}
        and world.foreign.templates().get(folder.name, "Pending Approval") == "Pending Approval"
        and not any((world.dom0.ovs / "ims/importing").iterdir())
    )


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_template_that_somebody_puts_there_at_any_moment_is_never_deleted(
    world: World, known: bool
) -> None:
    """After each call of our import until the folder is ours, and then IMS is killed or fails."""
    for number in range(1, MOST):
        world.restore("nothing")
        undo, calls, ours = Undo(OPERATION), iter(range(1, number)), []
        folder = world.dom0.ovs / "seed_pool/brought"

        def last() -> None:
            if next(calls, None) is None:  # noqa: B023 - called in this turn only
                ours.append(folder.exists())  # noqa: B023
                if not ours[-1]:  # noqa: B023
                    put_in(world, known=known)
                raise Killed

        with pytest.raises(Killed):
            world.bring(undo, world.provider(last=last))
        if ours == [True]:
            return
        roll_back(world, undo)
        assert is_theirs(world, folder), f"after call {number}"
        assert world.foreign.templates().get("brought") == ("Pending Approval" if known else None)


def test_a_template_that_came_while_ours_was_sent_refuses_it_and_stays(world: World) -> None:
    undo = Undo(OPERATION)

    class Quicker(Undo):
        def announce(self, kind: str, name: str) -> None:
            super().announce(kind, name)
            if kind == "folder":
                put_in(world)

    undo = Quicker(OPERATION)
    with pytest.raises(ConflictError) as caught:
        world.bring(undo)
    assert caught.value.code == "template-exists"
    found = roll_back(world, undo)
    assert found == [Discarded.REMOVED, Discarded.NOT_OURS]
    assert is_theirs(world, world.dom0.ovs / "seed_pool/brought")


def test_the_folder_of_a_template_may_go_before_the_managers_own_entry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.manager.store, "remove_template", lambda _template: None)
    world.manager.hooks.at("after", "deleteTemplate", world.manager.jobs.kill)

    def last() -> None:
        if world.manager.requests.count("deleteTemplate"):
            raise Killed

    world.manager.requests.clear()
    with pytest.raises(Killed):
        world.provider(last=last).delete_template("kit")
    monkeypatch.undo()
    world.reborn()
    assert not (world.dom0.ovs / "seed_pool/kit").exists()
    assert "kit" in world.foreign.templates()
    provider = world.provider()
    provider.delete_template("kit")
    assert "kit" not in world.foreign.templates()
    assert not any((world.dom0.ovs / "ims/removing").iterdir())
