"""Guests that run: each is IMS' own guest program, told to take a directory for its machine.

No process of it stays when the VM is gone; see the module ``keeper``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from ims_bootparams.receipt import parse_receipt
from ims_core.errors import ConflictError, HypervisorError
from ims_fake import keeper
from ims_fake.directory import translated
from ims_fake.domain import PAUSED, SUSPENDED
from ims_fake.guest import UnreadableSeedError, files_of
from ims_fake.guests import Answer, Guests
from ims_fake.place import Place

if TYPE_CHECKING:
    from ims_core.models import Receipt
    from ims_fake.directory import Directory
    from ims_fake.domain import Domain
    from ims_fake.process import Process

__all__ = ["Processes"]

_GOES_ON = "exec sh ./ims-context watch --root root --medium medium"
_BOOTS = (
    'echo "$1: booting"\n'
    "sh ./ims-context --root root --medium medium --wait 0\n"  # a drive is there, or is not
    f"{_GOES_ON}"
)
_START_SECONDS = 20.0
_SECONDS = 10.0


class Processes(Guests):
    """The guests of one pool, as processes."""

    def __init__(self, directory: Directory, *, seconds: float, shutdown: str) -> None:
        """Keep what they are to do.

        Args:
            directory: The pool's.
            seconds: How long one may live.
            shutdown: The setting of that name.
        """
        self._directory = directory
        self._seconds = seconds
        self._shutdown = shutdown

    # --- what it is ---

    def state(self, domain: Domain) -> str:
        """See Guests.

        A guest that was ended by nobody who may is one that crashed, as where the process of a
        hypervisor is killed: it had no time to stop. If it obeyed a signal, or its time was over,
        it has stopped.
        """
        process = self._place(domain.uuid).process()
        if process and process.is_alive():
            return PAUSED if process.is_held() else "running"
        if domain.state in ("running", PAUSED):
            return process.word if process else keeper.CRASHED
        return domain.state

    def receipt(self, domain: Domain) -> Receipt | None:
        """See Guests."""
        return parse_receipt(self._place(domain.uuid).receipt()) or domain.receipt

    def console(self, domain: Domain) -> tuple[str, ...]:
        """See Guests."""
        return tuple(self._place(domain.uuid).printed().splitlines())

    # --- power ---

    def boot(self, domain: Domain, seed: bytes) -> Answer:
        """See Guests; the answer to this start comes later, and until then the last one counts."""
        place = self._place(domain.uuid)
        process = place.process()
        if process and process.is_alive():
            raise _runs_already(domain)
        last = self.receipt(domain)
        place.power_up(card.mac for card in domain.interfaces)
        place.insert(_files(domain, seed))
        self._run(domain, _BOOTS)
        return Answer(last)

    def tell(self, domain: Domain, seed: bytes) -> Answer:
        """See Guests; the guest looks every other second."""
        self._place(domain.uuid).insert(_files(domain, seed))
        return Answer()

    def ask(self, domain: Domain, timeout: float) -> bool:
        """See Guests."""
        process = self._place(domain.uuid).process()
        if process is None or not process.is_alive():
            return True
        self._note(domain.uuid, process, keeper.ASKED)  # first, for then it may be gone at once
        process.ask()
        if process.await_end(timeout):
            return True
        self._note(domain.uuid, process, keeper.CRASHED)
        return False

    def end(self, domain: Domain, state: str) -> None:
        """See Guests."""
        process = self._place(domain.uuid).process()
        if process and process.is_alive():
            self._note(domain.uuid, process, state)
            _end(process, domain.name)

    def hold(self, domain: Domain) -> None:
        """See Guests."""
        process = self._place(domain.uuid).process()
        if process and not process.hold(_SECONDS):
            raise HypervisorError(f"the guest of VM {domain.name!r} cannot be held")

    def go_on(self, domain: Domain, seed: bytes) -> None:
        """See Guests.

        A process' memory cannot be kept, but all that matters of this one lies in its root: what it
        was told, and whether it has answered. So it watches again, and does not boot.
        """
        process = self._place(domain.uuid).process()
        if process and process.is_alive():
            process.release(_SECONDS)
        elif domain.state == SUSPENDED:
            self._place(domain.uuid).insert(_files(domain, seed))
            self._run(domain, _GOES_ON)

    # --- its disk ---

    def forget(self, uuid: str) -> None:
        """See Guests."""
        place = self._place(uuid)
        if process := place.process():
            _end(process, uuid)
        place.remove()

    def copy(self, source: str, target: str) -> None:
        """See Guests."""
        self._place(source).copy_disk(self._place(target))

    def pack(self, domain: Domain) -> bytes:
        """See Guests; a guest that runs is held meanwhile, so that all is of one moment."""
        if domain.state != "running":
            return self._place(domain.uuid).pack()
        self.hold(domain)
        try:
            return self._place(domain.uuid).pack()
        finally:
            self.go_on(domain, b"")

    def unpack(self, domain: Domain, content: bytes) -> None:
        """See Guests."""
        self._place(domain.uuid).unpack(content)

    # --- parts ---

    def _place(self, uuid: str) -> Place:
        return Place(self._directory.path("guest", uuid))

    def _note(self, uuid: str, process: Process, word: str) -> None:
        folder = self._place(uuid).folder
        with translated(f"cannot write into {folder}"):
            process.noted(word, str(folder))

    def _run(self, domain: Domain, script: str) -> None:
        """Start a keeper, and wait until it says that the guest runs."""
        place = self._place(domain.uuid)
        description = self._directory.path("domain", domain.uuid).resolve()
        keeping = (sys.executable, "-I", "-S", keeper.__file__, str(description))
        guest = ("/bin/sh", "-c", script, "sh", domain.name)
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW
        with translated(f"cannot write {place.console}"):
            console = os.open(place.console, flags, 0o600)
        try:
            done = subprocess.run(
                [*keeping, str(self._seconds), self._shutdown, *guest],
                cwd=place.folder,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.PIPE,
                timeout=_START_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _cannot_start(domain, str(error)) from error
        finally:
            os.close(console)
        if done.returncode == -keeper.BUSY:
            raise _runs_already(domain)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise _cannot_start(domain, said.rpartition("\n")[2])


def _files(domain: Domain, seed: bytes) -> dict[str, bytes]:
    """A delivery's files; none where the guest could not read it either."""
    try:
        return files_of(seed, domain.carrier)
    except UnreadableSeedError:
        return {}


def _end(process: Process, vm: str) -> None:
    process.end()
    if not process.await_end(_SECONDS):
        raise HypervisorError(f"the guest of VM {vm!r} cannot be ended", vm=vm)


def _cannot_start(domain: Domain, why: str) -> HypervisorError:
    return HypervisorError(f"the guest of VM {domain.name!r} cannot start: {why}", vm=domain.name)


def _runs_already(domain: Domain) -> ConflictError:
    return ConflictError(
        f"VM {domain.name!r} is running already",
        code="vm-running",
        vm=domain.name,
        hint=f"`ims stop-vm {domain.name}` first",
    )
