"""The parent's side: record a run, have an accident at each point of it, recover, judge."""

from __future__ import annotations

import os
import select
import signal
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest

from tests.crash import judge
from tests.crash.ground import POOL, SPARE, TOLD, TWO_MEDIA, VICTIM
from tests.crash.judge import FRESH, Case
from tests.crash.points import KILLED, MISSED, Plan, Point, needs_space

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.crash.ground import Ground, World

__all__ = [
    "FULL",
    "KILLS",
    "SCENARIOS",
    "SIGNALS",
    "Accident",
    "Matrix",
    "Scenario",
    "each_third",
    "two_of",
]


Choice: TypeAlias = "Callable[[Sequence[Point]], Sequence[Point]]"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A command that is cut short.

    Attributes:
        base: What there is before; see :meth:`Ground.restore`.
        arguments: Of ims; ``{address}`` and ``{image}`` are the ground's.
        judge: Says what is wrong in the end.
        compared: The base that the end is compared with, if it is another one.
    """

    name: str
    base: str
    arguments: tuple[str, ...]
    judge: Callable[[Case], list[str]]
    compared: str = ""

    def command(self, ground: Ground) -> list[str]:
        image = str(ground.root / "image.raw")
        return [each.format(address=ground.address, image=image) for each in self.arguments]


PATIENCE = 150.0
_CREATE = ("create-vm", VICTIM, "--memory", "64M", "--ip", "{address}", "--wait")
SCENARIOS = {
    each.name: each
    for each in (
        Scenario(
            "create-defined",
            "empty",
            (*_CREATE, "defined"),
            partial(judge.create, running=False),
        ),
        Scenario(
            "create-running",
            "empty",
            (*_CREATE, "running"),
            partial(judge.create, running=True),
        ),
        Scenario(
            "create-two-media",
            "empty",
            ("create-vm", VICTIM, "--memory", "64M", "--ip", "{address}", *TWO_MEDIA),
            partial(judge.create, running=True, media=2),
        ),
        Scenario("start", "off", ("start-vm", VICTIM, "--wait", "running"), judge.start),
        Scenario("suspend", "running", ("suspend-vm", VICTIM), judge.suspend),
        Scenario("reboot", "running", ("reboot-vm", VICTIM, "--force"), judge.reboot),
        Scenario("delete", "running", ("delete-vm", VICTIM), judge.delete),
        Scenario(
            "import-template",
            "empty",
            ("import-template", "{image}", "--name", FRESH, "--layout", "bootparams"),
            judge.import_template,
        ),
        Scenario(
            "update-context",
            "running",
            ("update-context", VICTIM, "--set", f"role={TOLD}", "--wait", "running"),
            judge.update_context,
        ),
        Scenario(
            "update-second-medium",
            "two-media",
            ("update-context", VICTIM, "--set", f"role={TOLD}", "--wait", "running"),
            judge.update_context,
        ),
        Scenario("delete-template", "empty", ("delete-template", SPARE), judge.delete_template),
    )
}


@dataclass(frozen=True, slots=True)
class Accident:
    """What happens at a point; see :class:`Plan`."""

    mode: Literal["kill", "full", "signal"]
    side: Literal["before", "after"] = "before"
    signal: int = 0
    lasting: bool = False

    def __str__(self) -> str:
        match self.mode:
            case "kill":
                return f"killed {self.side}"
            case "signal":
                return f"{signal.Signals(self.signal).name} {self.side}"
            case _:
                return f"no space {'from' if self.lasting else 'at'}"

    def can_happen(self, point: Point) -> bool:
        """Whether it can at this point: what removes something needs no space."""
        return self.mode != "full" or needs_space(point.name)


KILLS = (Accident("kill", "before"), Accident("kill", "after"))
SIGNALS = (
    Accident("signal", "before", signal.SIGINT),
    Accident("signal", "after", signal.SIGINT),
    Accident("signal", "before", signal.SIGTERM),
    Accident("signal", "after", signal.SIGTERM),
)
FULL = (Accident("full"), Accident("full", lasting=True))


def all_of(points: Sequence[Point]) -> Sequence[Point]:
    """Every point."""
    return points


def each_third(points: Sequence[Point]) -> Sequence[Point]:
    """Every third point."""
    return points[1::3]


def two_of(points: Sequence[Point]) -> Sequence[Point]:
    """One point in the first half and one in the second."""
    return [points[len(points) // 3], points[2 * len(points) // 3]]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A scenario on a ground."""

    ground: Ground
    scenario: Scenario
    libvirt: bool = False

    def record(self) -> list[Point]:
        """The points of a run that nothing happens to."""
        self.ground.restore(self.scenario.base)
        done = self.ground.victim(self._plan(), *self._command())
        assert done.returncode == 0, done.stderr
        lines = self._report()
        missed = [line for line in lines if line.startswith(MISSED)]
        assert not missed, f"changes that no wrapper saw: {missed}"
        assert lines, "nothing was changed"
        return [Point.parse(line) for line in lines]

    def prove(
        self, accidents: Sequence[Accident], *, choose: Choice = all_of, say: Callable[[str], None]
    ) -> None:
        """Have each accident at each of the points that are chosen, and fail with what is wrong."""
        points = self.record()
        runs = {
            f"{accident} {point}": partial(self.cut, accident, point)
            for point in choose(points)
            for accident in accidents
            if accident.can_happen(point)
        }
        self._prove(len(points), runs, ", ".join(dict.fromkeys(map(str, accidents))), say)

    def prove_killed_again(self, *, choose: Choice = all_of, say: Callable[[str], None]) -> None:
        """Kill a run in its middle, then what recovers from that, and recover once more."""
        points = self.record()
        point = points[len(points) // 2]
        before = self.scenario
        self.ground.restore(before.base)
        plan = replace(self._plan(), mode="kill", number=point.number, side="after")
        self.ground.victim(plan, *self._command())
        base = f"{before.name}-cut"
        self.ground.save(base)
        again = Scenario(
            f"{before.name}, killed after {point}, and recovered",
            base,
            ("recover", "--pool", POOL),
            before.judge,
            before.base,
        )
        replace(self, scenario=again).prove(KILLS, choose=choose, say=say)

    def prove_disturbed(
        self,
        what: str,
        during: Callable[[], None],
        afterwards: Callable[[], None] = lambda: None,
        *,
        choose: Choice = all_of,
        say: Callable[[str], None],
    ) -> None:
        """Hold each of the points until something was done to the transport, and go on.

        Args:
            what: For the report.
            during: Done while the run is held.
            afterwards: Done when it has ended.
            choose: Picks some of the points.
            say: Told how many there were.
        """
        points = self.record()
        runs = {
            f"{what} before {point}": partial(self.disturbed, point, during, afterwards)
            for point in choose(points)
        }
        self._prove(len(points), runs, what, say)

    def _prove(
        self,
        points: int,
        runs: Mapping[str, Callable[[], list[str]]],
        what: str,
        say: Callable[[str], None],
    ) -> None:
        found = {title: run() for title, run in runs.items()}
        problems = [f"{title}: {'; '.join(each)}" for title, each in found.items() if each]
        say(f"{self.scenario.name}: {points} points, {len(runs)} runs, {what}")
        if problems:
            pytest.fail("\n".join(problems), pytrace=False)

    def cut(self, accident: Accident, point: Point) -> list[str]:
        """One run with an accident, recovered and judged."""
        before = self._restored()
        plan = replace(
            self._plan(),
            mode=accident.mode,
            number=point.number,
            side=accident.side,
            signal=accident.signal,
            lasting=accident.lasting,
        )
        done = self.ground.victim(plan, *self._command())
        if problem := self.unreached(point):
            return [problem, judge.last_line(done.stderr)]
        killed = accident.mode == "kill"
        if killed != (done.returncode == KILLED):
            return [f"it ended with {done.returncode}: {judge.last_line(done.stderr)}"]
        return self.judged(point, killed=killed, status=done.returncode, before=before)

    def disturbed(
        self, point: Point, during: Callable[[], None], afterwards: Callable[[], None]
    ) -> list[str]:
        """One run that is held at a point, recovered and judged."""
        before = self._restored()
        here, told = os.pipe()
        held, go = os.pipe()
        plan = replace(self._plan(), mode="pause", number=point.number, here=told, go=held)
        with self.ground.victim_process(plan, *self._command()) as process:
            os.close(told)
            os.close(held)
            try:
                ready, _, _ = select.select([here], [], [], PATIENCE)
                if ready and os.read(here, 1):
                    during()
                    os.write(go, b"!")
                _, said = process.communicate(timeout=PATIENCE)
            finally:
                os.close(here)
                os.close(go)
                process.kill()  # that it hangs is one of the things to find out
                afterwards()
        if problem := self.unreached(point):
            return [problem, judge.last_line(said)]
        return self.judged(point, killed=False, status=process.returncode, before=before)

    def judged(self, point: Point, *, killed: bool, status: int, before: World) -> list[str]:
        """Look, recover if there is something to recover, look again, and judge."""
        ground = self.ground
        cut = ground.look()
        problems = []
        if killed or cut.unfinished:
            # A few rely on what the user does next anyway.
            verb = ("list-vms",) if point.number % 5 == 4 else ("recover", "--pool", POOL)
            recovery = ground.ims(*verb)
            if recovery.returncode:
                problems.append(f"ims {verb[0]} ended with {recovery.returncode}")
        after = ground.look()
        sure = "virStream" not in point.name
        case = Case(ground, before, cut, after, killed, status, sure)
        problems += self.scenario.judge(case)
        return problems + [f"unfinished: {each}" for each in ground.unfinished()]

    def unreached(self, point: Point) -> str:
        """What is wrong if the run did not come to its point; empty if it did."""
        reached = [each for each in self._report() if not each.startswith(MISSED)]
        at = reached[point.number - 1] if len(reached) >= point.number else "the end"
        return "" if at == str(point) else f"not reached; there was {at}"

    def _restored(self) -> World:
        self.ground.restore(self.scenario.base)
        return self.ground.worlds[self.scenario.compared or self.scenario.base]

    def _plan(self) -> Plan:
        report = str(self.ground.root / "report")
        return Plan(self.ground.roots, report, self.libvirt)

    def _command(self) -> list[str]:
        return self.scenario.command(self.ground)

    def _report(self) -> list[str]:
        return (self.ground.root / "report").read_text().splitlines()
