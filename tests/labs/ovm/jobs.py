"""What goes on after the answer: each job is a thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.labs import LabError
from tests.labs.ovm.faults import JOB_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.labs.ovm.faults import Faults, Hooks

__all__ = ["Jobs"]

_SECONDS = 0.02  # long enough for a status on the way to be seen


class Jobs:
    """The jobs of one Manager.

    Attributes:
        pace: By operation, how long its job waits before it acts.
    """

    def __init__(self, faults: Faults, hooks: Hooks) -> None:
        """There are none yet."""
        self.pace: dict[str, float] = {}
        self._faults, self._hooks = faults, hooks
        self._ended = threading.Event()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def start(
        self, operation: str, work: Callable[[], object], failed: Callable[[str], object]
    ) -> None:
        """Begin a job.

        Args:
            operation: Whose job it is.
            work: What it does; a failure raises LabError.
            failed: Told why.
        """
        thread = threading.Thread(target=self._run, args=(operation, work, failed))
        with self._lock:
            self._threads = {other for other in self._threads if other.is_alive()} | {thread}
            thread.start()

    @property
    def killed(self) -> bool:
        """Whether the Manager died: nothing is to be noted down any more."""
        return self._ended.is_set()

    def kill(self) -> None:
        """Leave all jobs where they are, as a process does that is killed."""
        self._ended.set()

    def wait(self) -> None:
        """Until there is none."""
        while True:
            with self._lock:
                threads = self._threads - {threading.current_thread()}
                self._threads = set()
            if not threads:
                return
            for thread in threads:
                thread.join()

    def _run(
        self, operation: str, work: Callable[[], object], failed: Callable[[str], object]
    ) -> None:
        fault = self._faults.take(operation, JOB_KINDS)
        seconds = self.pace.get(operation, _SECONDS) + (fault.seconds if fault else 0)
        if not self._ended.wait(seconds):
            self._hooks.reached("job", operation)
        if self.killed:
            return
        try:
            (_fail if fault and fault.kind == "job-error" else work)()
        except LabError as error:
            if not self.killed:
                failed(str(error))
        self._hooks.reached("done", operation)


def _fail() -> None:
    raise LabError("this job was to fail")
