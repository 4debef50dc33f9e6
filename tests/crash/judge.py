"""What must be true after a run was cut short and another process has recovered.

Nothing here asks ims what there is. Each judgement returns what is wrong, as sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.crash.ground import SPARE, TOLD, VICTIM

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.ground import Ground, Seen, World

__all__ = ["FRESH", "Case", "differences", "last_line"]

FRESH = "crash-fresh"


@dataclass(frozen=True, slots=True)
class Case:
    """One run with an accident.

    Attributes:
        before: As it was; ``cut`` right after the accident; ``after`` the recovery.
        killed: Whether the process ended in the middle; else it had its chance to clean up.
        status: How it ended, if it was not killed.
        sure: Whether what was on its way in the accident has arrived or not by ``cut``.
    """

    ground: Ground
    before: World
    cut: World
    after: World
    killed: bool
    status: int
    sure: bool

    def done(self, *, marked: bool) -> bool | None:
        """Whether the job must be done in the end; None if it may be done or undone.

        Args:
            marked: Whether what publishes it was there right after the accident.
        """
        if not self.killed:
            return True if self.status == 0 else None
        return marked if self.sure else None


def differences(
    before: World, after: World, own: Callable[[str], bool] = lambda _thing: False
) -> list[str]:
    """What is left, gone or changed, but for what is ``own``."""
    old = {name: what for name, what in before.things.items() if not own(name)}
    new = {name: what for name, what in after.things.items() if not own(name)}
    found = [f"left behind: {name} ({what})" for name, what in new.items() if name not in old]
    found += [f"gone: {name}" for name in old if name not in new]
    found += [
        f"changed: {name} ({what}, now {new[name]})"
        for name, what in old.items()
        if name in new and new[name] != what
    ]
    return sorted(found)


def last_line(text: str) -> str:
    """What a command said in the end; hints are for people."""
    lines = [line for line in text.splitlines() if not line.startswith("hint:")]
    return lines[-1] if lines else ""


def create(case: Case, *, running: bool, media: int = 1) -> list[str]:
    """The VM is whole, or there is no trace of it."""
    cut = case.cut.vms.get(VICTIM)
    must = case.done(marked=cut is not None and cut.complete)
    vm = case.after.vms.get(VICTIM)
    traces = differences(case.before, case.after)
    if not traces:
        return [f"{VICTIM} was complete, and is gone"] if must else []
    if must is False or vm is None:
        return traces
    problems = _whole(case, vm)
    if len(vm.media) != media:
        problems.append(f"{VICTIM} has {len(vm.media)} media")
    if running and not vm.running:
        problems.append(f"{VICTIM} is complete, and does not run")
    return problems if must or not problems else traces


def start(case: Case) -> list[str]:
    """The VM is whole, and runs or can be started."""
    problems = _still_there(case)
    if problems or case.after.vms[VICTIM].running:
        return problems
    if case.status == 0:
        return [f"{VICTIM} was started, and does not run"]
    done = case.ground.ims("start-vm", VICTIM, "--wait", "running")
    if done.returncode or not case.ground.look().vms[VICTIM].running:
        return [f"{VICTIM} cannot be started: {last_line(done.stderr)}"]
    return []


def suspend(case: Case) -> list[str]:
    """The VM is whole, and runs or goes on."""
    problems = _still_there(case)
    if problems:
        return problems
    if case.status == 0 and case.after.vms[VICTIM].running:
        return [f"{VICTIM} was suspended, and runs"]
    done = case.ground.ims("resume-vm", VICTIM)
    if done.returncode or not case.ground.look().vms[VICTIM].running:
        return [f"{VICTIM} does not go on: {last_line(done.stderr)}"]
    return []


def reboot(case: Case) -> list[str]:
    """The VM is whole, and runs; the medium is another one if it is done."""
    problems = _still_there(case)
    if problems:
        return problems
    before, after = case.before.vms[VICTIM], case.after.vms[VICTIM]
    if not after.running:
        problems.append(f"{VICTIM} was to be rebooted, and is off")
    if case.status == 0 and after.media == before.media:
        problems.append(f"{VICTIM} was rebooted with the delivery of its last start")
    return problems


def delete(case: Case) -> list[str]:
    """Gone entirely if it was recorded, else there entirely."""
    vm = case.before.vms[VICTIM]

    def own(thing: str) -> bool:
        return case.ground.belongs(vm, thing)

    def remains(world: World) -> list[str]:
        left = [f"left behind: {thing}" for thing in world.things if own(thing)]
        return left + differences(case.before, world, own)

    recorded = bool(case.cut.operations - case.before.operations)
    if recorded if case.killed else case.status == 0:
        return remains(case.after)
    if not (changed := differences(case.before, case.after)) or case.killed:
        return changed
    if not remains(case.after):
        return []
    done = case.ground.ims("delete-vm", VICTIM)
    if done.returncode:
        return [f"delete-vm cannot be repeated: {last_line(done.stderr)}", *remains(case.after)]
    return remains(case.ground.look())


def update_context(case: Case) -> list[str]:
    """What the guest was told is what the store has, or becomes it by the next start."""
    problems = _still_there(case)
    if problems:
        return problems
    ground = case.ground
    shown = ground.ims("show-vm", VICTIM)
    if shown.returncode:
        problems.append(f"show-vm does not work: {last_line(shown.stderr)}")
    if case.status == 0 and not _told(case.after)[0]:
        problems.append("the new context was accepted, and is not in the store")
    if len(set(_told(case.after))) > 1:
        if case.status == 0:
            problems.append("it was done, and the guest was not told")
        for verb in (("stop-vm", VICTIM, "--force"), ("start-vm", VICTIM, "--wait", "running")):
            done = ground.ims(*verb)
            if done.returncode:
                problems.append(f"{verb[0]} does not work: {last_line(done.stderr)}")
        stored, told = _told(ground.look())
        if stored != told:
            problems.append(f"the store has the new context: {stored}, the guest: {told}")
    return problems


def import_template(case: Case) -> list[str]:
    """Published, or there is no trace of it."""
    must = case.done(marked=FRESH in case.cut.templates)
    traces = differences(case.before, case.after)
    if not traces:
        return ["it was published, and is gone"] if must else []
    if must is False or FRESH not in case.after.templates:
        return traces
    problems = differences(case.before, case.after, lambda thing: FRESH in thing)
    parts = [thing for thing in case.after.things if FRESH in thing]
    others = [thing for thing in case.before.things if SPARE in thing]
    return problems if len(parts) == len(others) else problems + traces


def delete_template(case: Case) -> list[str]:
    """There or gone, and repeating it works."""

    def remains(world: World) -> list[str]:
        left = [f"left behind: {thing}" for thing in world.things if SPARE in thing]
        return left + differences(case.before, world, lambda thing: SPARE in thing)

    if not remains(case.after):
        return []
    if case.killed or case.status == 0:
        changed = differences(case.before, case.after)
        if changed or case.status == 0:
            return changed or ["it was deleted, and is there"]
    done = case.ground.ims("delete-template", SPARE)
    return [*remains(case.ground.look()), *([last_line(done.stderr)] if done.returncode else [])]


def _still_there(case: Case) -> list[str]:
    """A VM that was only started or told something is as whole as before."""
    vm = case.after.vms.get(VICTIM)
    if vm is None:
        return [f"{VICTIM} is gone", *differences(case.before, case.after)]
    return _whole(case, vm)


def _whole(case: Case, vm: Seen) -> list[str]:
    """What a complete VM lacks, and what changed besides it."""
    after, ground = case.after, case.ground
    problems = differences(case.before, after, lambda thing: ground.belongs(vm, thing))
    problems += [f"missing: {thing}" for thing in ground.missing(vm, set(after.things))]
    if not vm.media or not all(vm.media):
        problems.append("a medium is missing")
    if not vm.complete:
        problems.append(f"{VICTIM} is not complete")
    if vm.uuid not in after.stored:
        problems.append(f"{VICTIM} is not complete in the store")
    if "addresses" in after.tables and not any(
        thing.startswith("row addresses") and ground.belongs(vm, thing) for thing in after.things
    ):
        problems.append("its address is not in the store")
    return problems


def _told(world: World) -> tuple[bool, bool]:
    """Whether the store has the new context, and the medium."""
    vm = world.vms[VICTIM]
    return TOLD in world.contexts.get(vm.uuid, ""), TOLD.encode() in b"".join(vm.media)
