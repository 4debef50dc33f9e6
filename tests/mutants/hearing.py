"""Mistakes in telling what happens to VMs (sentence 25)."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.models import Change, ChangeKind, State
from tests.mutants.mutant import Group
from tests.mutants.parts import Base

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

mutants = Group()


@mutants.add("changes-are-told-twice", 25, "Each change is told by two calls.")
class ChangesAreToldTwice(Base):
    last: Sequence[Change] = ()

    def changes(self, timeout: float) -> Sequence[Change]:
        found = super().changes(0 if self.last else timeout)
        told, self.last = [*self.last, *found], found
        return told


@mutants.add("changes-begin-with-what-is-there", 25, "The first call tells what runs as started.")
class ChangesBeginWithWhatIsThere(Base):
    begun = False

    def changes(self, timeout: float) -> Sequence[Change]:
        found = super().changes(timeout)
        if not self.begun:
            self.begun = True
            running = [each for each in self.all_now() if each.state is State.RUNNING]
            return [Change(each.uuid, ChangeKind.STARTED, time.time()) for each in running]
        return found


@mutants.add("changes-tell-starts-first", 25, "What one call tells is not in its order.")
class ChangesTellStartsFirst(Base):
    def changes(self, timeout: float) -> Sequence[Change]:
        found = super().changes(timeout)
        return sorted(found, key=lambda each: each.kind is not ChangeKind.STARTED)


@mutants.add("changes-wait-for-ever", 25, "The time given to a call means nothing.")
class ChangesWaitForEver(Base):
    begun = False

    def changes(self, timeout: float) -> Sequence[Change]:
        found = super().changes(timeout)
        if self.begun and not found:
            return super().changes(20.0)
        self.begun = True
        return found


@mutants.add("changes-never-wait", 25, "A call returns at once, and its caller is busy for ever.")
class ChangesNeverWait(Base):
    def changes(self, timeout: float) -> Sequence[Change]:
        del timeout
        return super().changes(0)


@mutants.add("changes-come-backwards", 25, "The last change is told first.")
class ChangesComeBackwards(Base):
    def changes(self, timeout: float) -> Sequence[Change]:
        return super().changes(timeout)[::-1]


@mutants.add("changes-miss-the-ends", 25, "That a VM has stopped is not told.")
class ChangesMissTheEnds(Base):
    def changes(self, timeout: float) -> Sequence[Change]:
        found = super().changes(timeout)
        return [each for each in found if each.kind is not ChangeKind.STOPPED]


@mutants.add("changes-are-our-own", 25, "Only what this connection does is told.")
class ChangesAreOurOwn(Base):
    mine: frozenset[str] = frozenset()

    def start(self, vm: str, delivery: Any) -> None:
        super().start(vm, delivery)
        self.mine |= {vm}

    def changes(self, timeout: float) -> Sequence[Change]:
        return [each for each in super().changes(timeout) if each.vm in self.mine]


@mutants.add("changes-forget-between-calls", 25, "What happens while nobody waits is lost.")
class ChangesForgetBetweenCalls(Base):
    def changes(self, timeout: float) -> Sequence[Change]:
        super().changes(0)
        return super().changes(timeout)


@mutants.add("changes-call-going-on-a-start", 25, "That a suspended VM goes on is told as a start.")
class ChangesCallGoingOnAStart(Base):
    def resume(self, vm: str) -> None:
        super().resume(vm)
        self._vms.change(vm, lambda domain: replace(domain, started=time.time()))


@mutants.add("changes-have-no-time", 25, "When it was is not told.")
class ChangesHaveNoTime(Base):
    def changes(self, timeout: float) -> Sequence[Change]:
        return [replace(each, at=0.0) for each in super().changes(timeout)]
