"""Mistakes in putting files into disks (sentence 26)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError
from ims_core.models import State
from ims_fake.disk import put
from tests.mutants.mutant import Group
from tests.mutants.parts import Base, conflict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.models import File

mutants = Group()


class Writes(Base):
    """One that puts them there whatever the VM does."""

    def put(self, vm: str, files: Sequence[File]) -> None:
        put(self._directory, self._vms.existing(vm).volume, files)


@mutants.add("injects-into-a-running-vm", 26, "Files are put into a disk that is in use.")
class InjectsIntoARunningVm(Writes):
    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:
        if self.state_now(vm) is State.RUNNING:
            self.put(vm, files)
        else:
            super().inject_files(vm, files, timeout=timeout)


@mutants.add("injects-into-a-suspended-vm", 26, "Files are put below a memory that knows none.")
class InjectsIntoASuspendedVm(Writes):
    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:
        if self.state_now(vm) is State.SUSPENDED:
            self.put(vm, files)
        else:
            super().inject_files(vm, files, timeout=timeout)


@mutants.add("injects-after-pulling-the-plug", 26, "A running VM is stopped for its files.")
class InjectsAfterPullingThePlug(Writes):
    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:
        self.stop(vm, force=True, timeout=timeout)
        super().inject_files(vm, files, timeout=timeout)


@mutants.add("injects-nothing", 26, "It returns, and no file is there.")
class InjectsNothing(Base):
    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:
        super().inject_files(vm, files[:0], timeout=timeout)


@mutants.add("injects-text", 26, "Bytes that are no text are changed.")
class InjectsText(Base):
    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:
        texts = [
            replace(each, content=each.content.decode(errors="replace").encode()) for each in files
        ]
        super().inject_files(vm, texts, timeout=timeout)


@mutants.add("injects-for-all-to-read", 26, "A file of mode 0600 gets another one.")
class InjectsForAllToRead(Base):
    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:
        open_ = [replace(each, mode=0o644) for each in files]
        super().inject_files(vm, open_, timeout=timeout)


@mutants.add("injects-over-all-that-is-there", 26, "What was in the disk is gone.")
class InjectsOverAllThatIsThere(Base):
    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:
        disk = self.disk_path(vm)
        disk.write_bytes(bytes(disk.stat().st_size))
        super().inject_files(vm, files, timeout=timeout)


@mutants.add("injects-once", 26, "A file that is there stays as it is.")
class InjectsOnce(Base):
    done: frozenset[tuple[str, str]] = frozenset()

    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:
        new = [each for each in files if (vm, each.path) not in self.done]
        super().inject_files(vm, new, timeout=timeout)
        self.done |= {(vm, each.path) for each in new}


@mutants.add("injects-with-a-copy-beside", 26, "A file stays in the pool as well.")
class InjectsWithACopyBeside(Base):
    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:
        super().inject_files(vm, files, timeout=timeout)
        for number, each in enumerate(files):
            (self.root / "seeds" / f"injected-{vm}-{number}").write_bytes(each.content)


@mutants.add("injection-calls-suspended-running", 26, "The code for a suspended VM is wrong.")
class InjectionCallsSuspendedRunning(Base):
    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:
        try:
            super().inject_files(vm, files, timeout=timeout)
        except ConflictError as error:
            raise conflict("vm-running", vm) from error
