"""Mistakes in taking back what was announced (sentence 9)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import HypervisorError, NotFoundError
from ims_core.spi import Discarded
from tests.mutants.mutant import Group
from tests.mutants.parts import Base

if TYPE_CHECKING:
    from ims_core.models import Resource

mutants = Group()


@mutants.add("discard-removes-a-namesake-vm", 9, "A VM of another operation is discarded.")
class DiscardRemovesANamesakeVm(Base):
    def discard(self, resource: Resource) -> Discarded:
        found = super().discard(resource)
        if resource.kind == "domain" and found is Discarded.NOT_OURS:
            self.delete(resource.name)
            return Discarded.REMOVED
        return found


@mutants.add("discard-removes-a-namesake-disk", 9, "A disk of another operation is discarded.")
class DiscardRemovesANamesakeDisk(Base):
    def discard(self, resource: Resource) -> Discarded:
        if resource.kind in ("volume", "seed"):
            last = resource.name.rpartition(".")[0].rpartition("-")[2]
            return super().discard(replace(resource, operation=last))
        return super().discard(resource)


@mutants.add("discard-compares-a-part", 9, "An operation counts as ours if its id begins alike.")
class DiscardComparesAPart(Base):
    def discard(self, resource: Resource) -> Discarded:
        if resource.kind == "domain":
            with suppress(NotFoundError):
                theirs = self.mark_now(resource.name).operation
                if theirs.startswith(resource.operation[:4]):
                    return super().discard(replace(resource, operation=theirs))
        return super().discard(resource)


@mutants.add("discard-of-nothing-raises", 9, "What is not there cannot be discarded.")
class DiscardOfNothingRaises(Base):
    def discard(self, resource: Resource) -> Discarded:
        found = super().discard(resource)
        if found is Discarded.ABSENT:
            raise NotFoundError(f"there is no {resource.kind} {resource.name}")
        return found


@mutants.add("discard-of-a-namesake-raises", 9, "A namesake is an error, and not a result.")
class DiscardOfANamesakeRaises(Base):
    def discard(self, resource: Resource) -> Discarded:
        found = super().discard(resource)
        if found is Discarded.NOT_OURS:
            raise HypervisorError(f"{resource.kind} {resource.name} is somebody else's")
        return found


@mutants.add("discard-always-says-removed", 9, "What was not there is called removed.")
class DiscardAlwaysSaysRemoved(Base):
    def discard(self, resource: Resource) -> Discarded:
        found = super().discard(resource)
        return Discarded.REMOVED if found is Discarded.ABSENT else found


@mutants.add("discard-calls-a-namesake-absent", 9, "Somebody else's is called absent.")
class DiscardCallsANamesakeAbsent(Base):
    def discard(self, resource: Resource) -> Discarded:
        found = super().discard(resource)
        return Discarded.ABSENT if found is Discarded.NOT_OURS else found


@mutants.add("discard-calls-removed-absent", 9, "What was removed is called absent.")
class DiscardCallsRemovedAbsent(Base):
    def discard(self, resource: Resource) -> Discarded:
        found = super().discard(resource)
        return Discarded.ABSENT if found is Discarded.REMOVED else found


@mutants.add("discard-leaves-the-disk", 9, "A disk is called removed, and stays.")
class DiscardLeavesTheDisk(Base):
    def discard(self, resource: Resource) -> Discarded:
        if resource.kind == "volume" and (self.root / "volumes" / resource.name).exists():
            last = resource.name.rpartition(".")[0]
            return (
                Discarded.REMOVED if last.endswith(f"-{resource.operation}") else Discarded.NOT_OURS
            )
        return super().discard(resource)
