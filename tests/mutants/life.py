"""Mistakes in opening, closing, threads and bounds (sentences 1 to 3)."""

from __future__ import annotations

import fcntl
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ims_core.errors import (
    BusyError,
    DeadlineError,
    HypervisorError,
    ImsError,
    UnavailableError,
)
from ims_fake.settings import Settings
from tests.mutants.mutant import Group
from tests.mutants.parts import CHANGING, OFF, Base, around, conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from ims_core.models import Mark

mutants = Group()


# --- 1 ---


@mutants.add("second-close-raises", 1, "Closing a connection that is closed already is an error.")
class SecondCloseRaises(Base):
    _closed = False

    def close(self) -> None:
        if self._closed:
            raise HypervisorError("the connection is closed")
        self._closed = True


@mutants.add("close-raises-after-an-error", 1, "Closing fails once a call has failed before.")
@around(
    ("start", "stop", "create"),
    lambda healthy: lambda self, *args, **more: self.noted(healthy, *args, **more),
)
class CloseRaisesAfterAnError(Base):
    _broken = False

    def noted(self, healthy: Callable[..., Any], *args: Any, **more: Any) -> None:
        try:
            healthy(self, *args, **more)
        except ImsError:
            self._broken = True
            raise

    def close(self) -> None:
        if self._broken:
            raise HypervisorError("the session is broken")


@mutants.add("close-ends-all-pools", 1, "One connection serves all pools, and any close ends it.")
@around(
    ("inspect", "start", "hosts"),
    lambda healthy: lambda self, *args, **more: self.asked(healthy, *args, **more),
)
class CloseEndsAllPools(Base):
    _connected: ClassVar[bool] = False

    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        cls._connected = True
        return super().open(settings)

    def close(self) -> None:
        type(self)._connected = False

    def asked(self, healthy: Callable[..., Any], *args: Any, **more: Any) -> Any:
        if not self._connected:
            raise UnavailableError("the connection was closed")
        return healthy(self, *args, **more)


@mutants.add("open-changes-the-settings", 1, "Opening takes a value out of the caller's settings.")
class OpenChangesTheSettings(Base):
    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        provider = super().open(dict(settings))
        if isinstance(settings, dict):
            settings.pop("capacity")
        return provider


@mutants.add("open-raises-what-the-library-raises", 1, "A failed open raises the library's error.")
class OpenRaisesWhatTheLibraryRaises(Base):
    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        try:
            return super().open(settings)
        except UnavailableError as error:
            raise ConnectionError(str(error)) from error


@mutants.add("setting-without-a-description", 1, "A field of the settings is not described.")
class SettingWithoutADescription(Base):
    @classmethod
    def settings(cls) -> type[BaseModel]:
        class MoreSettings(Settings):
            retries: int = 3

        return MoreSettings


# --- 2 ---


@mutants.add("bound-to-one-thread", 2, "Only the thread that opened the connection may use it.")
@around(
    ("inspect", "metrics", *CHANGING),
    lambda healthy: lambda self, *args, **more: self.same_thread(healthy, *args, **more),
)
class BoundToOneThread(Base):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._thread = threading.get_ident()

    def same_thread(self, healthy: Callable[..., Any], *args: Any, **more: Any) -> Any:
        if threading.get_ident() != self._thread:
            raise HypervisorError("the connection belongs to another thread")
        return healthy(self, *args, **more)


@mutants.add("calls-mix-up-their-vms", 2, "Two calls at the same time work on the same VM.")
@around(
    ("start", "stop", "write_mark"),
    lambda healthy: lambda self, *args, **more: self.current(healthy, *args, **more),
)
class CallsMixUpTheirVms(Base):
    _vm = ""

    def current(self, healthy: Callable[..., Any], vm: str, *args: Any, **more: Any) -> Any:
        self._vm = vm
        time.sleep(0.15)
        return healthy(self, self._vm, *args, **more)


@mutants.add("force-waits-for-the-soft-stop", 2, "A forced stop waits until the soft one is over.")
class ForceWaitsForTheSoftStop(Base):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        with self._locks[vm]:
            super().stop(vm, force=force, timeout=timeout)


@mutants.add("force-is-refused-while-stopping", 2, "A forced stop is busy during the soft one.")
class ForceIsRefusedWhileStopping(Base):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._stopping: set[str] = set()

    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        if vm in self._stopping:
            raise BusyError(f"another task of VM {vm} is in progress")
        self._stopping.add(vm)
        try:
            super().stop(vm, force=force, timeout=timeout)
        finally:
            self._stopping.discard(vm)


@mutants.add("soft-stop-misses-the-forced-one", 2, "A soft stop goes on waiting for a VM now off.")
class SoftStopMissesTheForcedOne(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        end = time.monotonic() + min(timeout, 8)
        waits = self.ignores and not force and self.state_now(vm) not in OFF
        super().stop(vm, force=force, timeout=timeout)
        if waits:
            time.sleep(max(0.0, end - time.monotonic()))
            raise DeadlineError(f"VM {vm} did not stop within {timeout:g} s", vm=vm)


@mutants.add("mark-is-written-with-an-old-state", 2, "A mark's writing undoes a stop meanwhile.")
class MarkIsWrittenWithAnOldState(Base):
    def write_mark(self, vm: str, mark: Mark) -> None:
        state = self._vms.existing(vm).state
        time.sleep(0.25)
        super().write_mark(vm, mark)
        self.put_state(vm, state)


# --- 3 ---


@mutants.add("waits-too-long-for-a-lock", 3, "A locked hypervisor is waited for much too long.")
class WaitsTooLongForALock(Base):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._directory._lock = self._wait  # type: ignore[method-assign]

    def _wait(self, descriptor: int) -> None:
        end = time.monotonic() + 14
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise UnavailableError(f"{self.root} is locked") from None
                time.sleep(0.01)


@mutants.add("lock-error-is-not-translated", 3, "When the hypervisor hangs, it is a TimeoutError.")
@around(
    ("create", *CHANGING),
    lambda healthy: lambda self, *args, **more: self.plain(healthy, *args, **more),
)
class LockErrorIsNotTranslated(Base):
    def plain(self, healthy: Callable[..., Any], *args: Any, **more: Any) -> Any:
        try:
            return healthy(self, *args, **more)
        except BusyError:
            raise
        except UnavailableError as error:
            raise TimeoutError(str(error)) from error


@mutants.add("no-answer-is-success", 3, "A hypervisor that does not answer is taken for done.")
@around(
    ("start", "stop", "delete", "write_mark"),
    lambda healthy: lambda self, *args, **more: self.hopeful(healthy, *args, **more),
)
class NoAnswerIsSuccess(Base):
    def hopeful(self, healthy: Callable[..., Any], *args: Any, **more: Any) -> None:
        try:
            healthy(self, *args, **more)
        except BusyError:
            raise
        except UnavailableError:
            return


@mutants.add("no-answer-is-a-refusal", 3, "A hypervisor that does not answer is called refusing.")
@around(
    ("create", *CHANGING),
    lambda healthy: lambda self, *args, **more: self.refused(healthy, *args, **more),
)
class NoAnswerIsARefusal(Base):
    def refused(self, healthy: Callable[..., Any], *args: Any, **more: Any) -> Any:
        try:
            return healthy(self, *args, **more)
        except BusyError:
            raise
        except UnavailableError as error:
            raise HypervisorError(str(error)) from error


@mutants.add("busy-is-a-refusal", 3, "A VM that is locked for a moment is a HypervisorError.")
@around(CHANGING, lambda healthy: lambda self, *args, **more: self.refused(healthy, *args, **more))
class BusyIsARefusal(Base):
    def refused(self, healthy: Callable[..., Any], *args: Any, **more: Any) -> Any:
        try:
            return healthy(self, *args, **more)
        except BusyError as error:
            raise HypervisorError(str(error)) from error


@mutants.add("busy-once-is-busy-for-ever", 3, "After busy, the same call is a conflict.")
@around(CHANGING, lambda healthy: lambda self, *args, **more: self.once(healthy, *args, **more))
class BusyOnceIsBusyForEver(Base):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._tasks: set[str] = set()

    def once(self, healthy: Callable[..., Any], vm: str, *args: Any, **more: Any) -> Any:
        if vm in self._tasks:
            raise conflict("task-in-progress", vm)
        try:
            return healthy(self, vm, *args, **more)
        except BusyError:
            self._tasks.add(vm)
            raise


@mutants.add("busy-delete-has-begun", 3, "A busy delete has removed the VM, but not its disk.")
class BusyDeleteHasBegun(Base):
    def delete(self, vm: str) -> None:
        try:
            super().delete(vm)
        except BusyError:
            (self.root / "domains" / f"{vm}.json").unlink(missing_ok=True)
            raise


@mutants.add("stop-takes-thrice-its-time", 3, "A soft stop takes three times the time given.")
class StopTakesThriceItsTime(Base):
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        super().stop(vm, force=force, timeout=min(timeout * 3, max(timeout, 8)))
