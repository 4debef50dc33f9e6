"""The parent's side: record a run, have an accident at each point of it, recover, judge."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from tests.crash import judge
from tests.crash.ground import POOL, SPARE, TOKEN, VICTIM
from tests.crash.judge import FRESH, Case
from tests.crash.points import KILLED, MISSED, Plan, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.crash.ground import Ground, World

__all__ = ["SCENARIOS", "Accident", "Matrix", "Scenario", "each_third"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A command that is cut short.

    Attributes:
        base: What there is before; see :meth:`Ground.restore`.
        arguments: Of ims; ``{address}`` and ``{image}`` are the ground's.
    """

    name: str
    base: str
    arguments: tuple[str, ...]
    judge: Callable[[Case], list[str]]

    def command(self, ground: Ground) -> list[str]:
        image = str(ground.root / "image.raw")
        return [each.format(address=ground.address, image=image) for each in self.arguments]


_CREATE = ("create-vm", VICTIM, "--ip", "{address}", "--wait")
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
        Scenario("start", "off", ("start-vm", VICTIM, "--wait", "running"), judge.start),
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
            ("update-context", VICTIM, "--set", f"role={TOKEN}", "--wait", "running"),
            judge.update_context,
        ),
        Scenario("delete-template", "empty", ("delete-template", SPARE), judge.delete_template),
    )
}


@dataclass(frozen=True, slots=True)
class Accident:
    """What happens at a point; see :class:`Plan`."""

    mode: str
    side: str = "before"
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
        removes = ("unlink", "remove", "rmdir", "delete", "destroy", "undefine", "chmod")
        call = point.name.split()[0].rpartition(".")[2]
        return self.mode != "full" or not call.startswith(removes)


KILLS = (Accident("kill", "before"), Accident("kill", "after"))
SIGNALS = tuple(
    Accident("signal", side, number)
    for number in (signal.SIGINT, signal.SIGTERM)
    for side in ("before", "after")
)
FULL = (Accident("full"), Accident("full", lasting=True))


def each_third(points: Sequence[Point]) -> Sequence[Point]:
    """Every third point, and the last."""
    return [*points[:-1:3], points[-1]]


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

    def run(self, accidents: Sequence[Accident], points: Sequence[Point]) -> list[str]:
        """Have each accident at each of the points; returns what was wrong after which."""
        problems = []
        for point in points:
            for accident in accidents:
                if accident.can_happen(point):
                    found = self.cut(accident, point)
                    problems += [f"{accident} {point}: {each}" for each in found]
        return problems

    def cut(self, accident: Accident, point: Point) -> list[str]:
        """One run with an accident, recovered and judged."""
        ground = self.ground
        ground.restore(self.scenario.base)
        before = ground.look()
        plan = replace(
            self._plan(),
            mode=accident.mode,
            number=point.number,
            side=accident.side,
            signal=accident.signal,
            lasting=accident.lasting,
        )
        done = ground.victim(plan, *self._command())
        if problem := self.unreached(point):
            return [problem, done.stderr]
        killed = accident.mode == "kill"
        if killed and done.returncode != KILLED:
            return [f"it should have been killed, and ended with {done.returncode}: {done.stderr}"]
        return self.judged(point, killed=killed, status=done.returncode, before=before)

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
        return problems + [f"unfinished: {each}" for each in ground.look().unfinished]

    def unreached(self, point: Point) -> str:
        """What is wrong if the run did not come to its point; empty if it did."""
        reached = [each for each in self._report() if not each.startswith(MISSED)]
        at = reached[point.number - 1] if len(reached) >= point.number else "the end"
        return "" if at == str(point) else f"not reached; there was {at}"

    def _plan(self) -> Plan:
        report = str(self.ground.root / "report")
        return Plan(self.ground.roots, report, self.libvirt)

    def _command(self) -> list[str]:
        return self.scenario.command(self.ground)

    def _report(self) -> list[str]:
        return (self.ground.root / "report").read_text().splitlines()
