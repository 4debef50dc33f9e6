"""One guest's process: known by its number and its birth, so that no other is taken for it."""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ims_fake import keeper

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Process"]

_PAUSE = 0.002
_TRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Process:
    """What the keeper noted down.

    Attributes:
        word: What the VM is once this process is gone.
        guest: The guest's first process, and its group.
        birth: When that began; see :func:`ims_fake.keeper.look`.
        keeper: The process that watches over it, and when that began.
        keeper_birth: When that began.
    """

    word: str
    guest: int
    birth: str
    keeper: int
    keeper_birth: str

    @classmethod
    def parse(cls, line: bytes) -> Self | None:
        """The note, if there is a whole one."""
        words = line.decode("ascii", "replace").split()
        try:
            word, guest, birth, keeping, keeper_birth = words
            return cls(word, int(guest), birth, int(keeping), keeper_birth)
        except ValueError:
            return None

    def noted(self, word: str, folder: str) -> None:
        """Note it down with another word."""
        keeper.note(folder, word, self.guest, self.birth, self.keeper, self.keeper_birth)

    def is_alive(self) -> bool:
        """Whether it runs, or would if it were not held."""
        return keeper.look(self.guest)[1] == self.birth

    def is_held(self) -> bool:
        """Whether it is stopped in the sense of signals; only of one that is alive."""
        return keeper.look(self.guest)[0] in ("T", "t")

    def ask(self) -> None:
        """Have the guest stop, if it obeys."""
        self._tell(signal.SIGTERM)

    def end(self) -> None:
        """Take its power away."""
        self._tell(signal.SIGKILL)

    def hold(self, seconds: float) -> bool:
        """Hold all of the guest; whether it is held, or gone, within that time."""
        end = time.monotonic() + seconds
        while True:
            self._tell(signal.SIGSTOP)
            if self._await_held(min(seconds, _TRY_SECONDS), held=True):
                return True
            # A shell in vfork(2) stops only once its child is another program, and that one was
            # stopped before.
            self._tell(signal.SIGCONT)
            if time.monotonic() >= end:
                return False

    def release(self, seconds: float) -> bool:
        """Let it go on; whether it does, or is gone, within that time."""
        self._tell(signal.SIGCONT)
        return self._await_held(seconds, held=False)

    def await_end(self, seconds: float) -> bool:
        """Wait until guest and keeper are gone; whether they are within that time."""
        end = time.monotonic() + seconds
        for descriptor in self._descriptors():
            watched = select.poll()
            watched.register(descriptor, select.POLLIN)
            gone = watched.poll(max(0.0, end - time.monotonic()) * 1000)
            os.close(descriptor)
            if not gone:
                return False
        return True

    def _tell(self, number: signal.Signals) -> None:
        """Signal the whole group; its number is not another's while its first process is there."""
        if self.is_alive():
            try:
                os.killpg(self.guest, number)
            except ProcessLookupError:
                return  # it ended just now

    def _await_held(self, seconds: float, *, held: bool) -> bool:
        end = time.monotonic() + seconds
        while (
            self.is_alive() and self.is_held() != held
        ):  # of this the kernel tells its parent only
            if time.monotonic() >= end:
                return False
            time.sleep(_PAUSE)
        return True

    def _descriptors(self) -> Iterator[int]:
        """One for each of the two that is there, readable when it has ended."""
        for pid, birth in ((self.guest, self.birth), (self.keeper, self.keeper_birth)):
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            if keeper.look(pid)[1] == birth:
                yield descriptor
            else:
                os.close(descriptor)
