"""The provider SPI: what a plugin implements, and what it may rely on.

A plugin is a class that extends :class:`Provider`, published under the entry point group
``ims.providers``. The numbered sentences are the contract; each test of ``ims_core.testing``
names the sentence it proves.

Life
    1. The service calls ``open`` once for each pool in use, with settings that the class's own
       ``settings()`` model has validated, and ``close`` at the end, also after errors.
    2. Between ``open`` and ``close`` any method may be called from any thread, and calls for
       different VMs may run at the same time; one process never runs two changing calls for one
       VM at a time, except that a forced stop may come at any time; another process may.
    3. Every call ends: within the time given, or within the provider's own bound for one request,
       even if the hypervisor stops answering. Then it raises ``UnavailableError``. Where the
       hypervisor calls what is asked for busy or locked, it raises ``BusyError``; of ``start``,
       ``stop``, ``suspend``, ``resume``, ``pause``, ``delete``, ``write_mark``, ``set_addresses``,
       ``update_context``, ``restore_snapshot`` and ``delete_snapshot`` this means that the call can
       be repeated, and the service does so for a while.

Creating
    4. ``prepare`` and ``plan`` make nothing. ``prepare`` returns the spec completed with what
       only the hypervisor knows, and refuses what it cannot do, naming the field.
    5. ``create`` leaves the VM defined and not running, with the delivery in place and the mark
       it was given.
    6. Before anything is made, it is announced to the undo log, under a name that we chose and
       that contains the operation id (a VM itself is identified by its mark).
    7. If ``create`` raises, what it had made may remain: the service discards what was announced.
    8. ``create`` refuses a name that is taken with ``ConflictError`` (``vm-exists``) and leaves
       the namesake as it was.

Undo
    9. ``discard`` removes one announced resource if it is there and carries that operation's id,
       is idempotent, and leaves a namesake untouched; it says which by its result.

Running
    10. ``start`` puts the delivery in place before the guest's first instruction, and records its
        digest and nonce in the mark; a mark that has this nonce already says that it is in place.
        On a running VM it raises ``ConflictError`` (``vm-running``), and on a suspended one, which
        would go on instead of starting, ``ConflictError`` (``vm-suspended``). A VM that was adopted
        is started without a delivery.
    11. ``stop`` asks the guest and waits until it is off; when the time is over it raises
        ``DeadlineError`` and the VM keeps running. ``force`` takes the power away. Both succeed
        on a VM that is off. The guest of a suspended VM cannot be asked: that is
        ``ConflictError`` (``vm-suspended``), while ``force`` gives up its saved memory. Neither
        deletes anything else.
    12. ``delete`` removes a VM that is off or on, with everything that was made for it, and
        succeeds when it is already gone, or half gone. Its mark goes last. Memory that was saved
        goes with it, and so do its snapshots. A mark without an operation is that of a VM that was
        adopted: its disks are not ours, and stay; if its memory is saved, ``delete`` refuses.
    13. The delivery stays with the VM until ``delete``: a stopped VM can start again, and a
        suspended one goes on with it.

Looking
    14. ``inspect`` and ``metrics`` take any number of VMs in as few requests as the hypervisor
        allows, the number not depending on how many VMs there are where it can. VMs that do not
        exist are left out of the answer; one broken VM never spoils the answer for the others.
    15. A state is never lost or guessed: what the table of the provider does not know is
        ``UNKNOWN``. A number the hypervisor cannot give is None.
    16. Addresses are matched by MAC, each with its source; link-local ones are left out.

Conduct
    17. A VM is named by its UUID (ours) in every call; where it must exist and does not,
        ``NotFoundError`` is raised. One without our mark is foreign and only ``inspect`` shows it;
        refusing foreign VMs is the service's work.
    18. A provider never prints, exits, reads the store or the configuration, chooses a layout, or
        keeps state outside its hypervisor and its instance.
    19. What a provider lacks, it does not implement: a feature is there exactly when its protocol
        is. ``NotImplementedError`` is never an answer.

Telling again
    20. ``update_context`` puts a delivery in place of the one that a running VM has, and records
        its digest and nonce in the mark as ``start`` does. What the VM has stays whole until the
        new one is; repeated after a failure it comes to the same end. The VM keeps running. Where
        there are two media (``CarrierLimits.overlay``), the first stays, and the second is new.

Interrupting
    21. ``suspend`` saves the memory of a running VM to disk and takes its power away
        (``SUSPENDED``); ``resume`` lets it go on where it was, with the delivery it has in place
        again before its CPUs run, and then nothing is left of what was saved. A VM whose CPUs are
        held (``PAUSED``) can be suspended too, and goes on by ``resume``. A VM that is as it is to
        be already is left so, without an error. If ``suspend`` fails, the VM keeps running; if
        ``resume`` does, its memory stays saved.

Going back
    22. A snapshot holds the VM's disks, the delivery it has, and its memory if it runs, is paused
        or suspended. ``take_snapshot`` leaves the state of the VM as it was. Names are unique for
        each VM (``ConflictError``, ``snapshot-exists``). It is announced first, with the kind
        ``snapshot`` and the name ``<UUID of the VM>/<snapshot>/<operation id>``, and ``discard``
        removes only one that this operation has made. ``restore_snapshot`` is for a VM that neither
        runs nor is paused (``ConflictError``, ``vm-running``); what it is then, saved memory
        included, is given up. Afterwards it is ``STOPPED``, or ``DEFINED`` if it had not been
        started by then; a snapshot with memory leaves it ``SUSPENDED``, and ``resume`` goes on from
        there. The digest and nonce of its mark, and the delivery, are those of that time, as that
        is what the guest knows; the rest of the mark is as it is now. ``delete_snapshot`` changes
        nothing of the VM as it is now. Repeated after a failure, both come to the same end. A
        snapshot that is not there is ``NotFoundError`` (``snapshot-not-found``).

Copying
    23. ``clone`` is a ``create`` (sentences 5 to 8) whose root disk is a copy of the source's as it
        is, with the source's size. The source must be off (``ConflictError``, ``vm-running`` or
        ``vm-suspended``) and stays as it was; afterwards neither depends on the other.

Holding
    24. ``pause`` holds the CPUs of a running VM, whose memory stays where it is (``PAUSED``). What
        can be paused implements ``Suspend`` too, and ``resume`` lets it go on. One that is paused
        already is left so; one that is off, or suspended, is ``ConflictError``
        (``vm-not-running``, ``vm-suspended``).

Watching
    25. ``changes`` begins to listen with its first call, which returns nothing at once; then a call
        returns what has happened since the one before, in order, each thing once, as soon as there
        is anything, and nothing when its time is over. Foreign VMs are told of too; one that is
        suspended has not stopped, and one that goes on was not started. When something may have
        been missed it raises ``UnavailableError``, and the next call begins anew. One
        thread at a time calls it.

Injecting
    26. ``inject_files`` puts files into the root disk of a VM that is off (else ``ConflictError``,
        ``vm-running`` or ``vm-suspended``). What it refuses it refuses before it writes; there is
        never half a file, and repeated after a failure it comes to the same end. Where what it
        needs is not installed it raises ``UnsupportedError`` (``injection-unavailable``), and
        ``check`` says so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

from ims_core.errors import UnsupportedError
from ims_core.models import Features

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from pydantic import BaseModel

    from ims_core.models import (
        VM,
        Change,
        Delivery,
        File,
        Finding,
        Host,
        Interface,
        Mark,
        Metrics,
        Resource,
        Snapshot,
        Template,
        VMSpec,
    )

__all__ = [
    "NOTHING_KNOWN",
    "OPTIONAL",
    "SPI_VERSION",
    "Clone",
    "Console",
    "ConsoleLog",
    "ConsoleStream",
    "Discarded",
    "Injection",
    "LiveContext",
    "Pause",
    "Progress",
    "Provider",
    "Snapshots",
    "Suspend",
    "TemplateStore",
    "UndoLog",
    "Watch",
    "require",
    "require_carrier",
]

T = TypeVar("T")

SPI_VERSION = "1.0"
"""Of the contract above. The first number changes when providers must be changed, the second when
something was added that older ones need not know."""

NOTHING_KNOWN: Mapping[str, Mark] = MappingProxyType({})


class UndoLog(Protocol):
    """Where a provider announces what it is about to make.

    Attributes:
        operation: The id that must be part of every announced name.
    """

    @property
    def operation(self) -> str:
        """The id that must be part of every announced name."""

    def announce(self, kind: str, name: str) -> None:
        """Record a resource, durably, before it is made."""

    def retract(self, kind: str, name: str) -> None:
        """Take an announcement back: making it failed because somebody else's was there."""


class Discarded(StrEnum):
    """What ``discard`` found."""

    REMOVED = "removed"
    ABSENT = "absent"
    NOT_OURS = "not-ours"


class Provider(ABC):
    """Drives one pool of one kind of hypervisor.

    Attributes:
        name: The provider's name, equal to its entry point's.
        spi: The version of the SPI that it was written for: ``SPI_VERSION`` of that time, as text.
        features: What it can do, beyond the protocols it implements.
    """

    name: ClassVar[str]
    spi: ClassVar[str]
    features: ClassVar[Features] = Features()

    # --- connection ---

    @classmethod
    @abstractmethod
    def settings(cls) -> type[BaseModel]:
        """The pydantic model of a pool's settings; every field has a description.

        Imported only when settings must be validated, so keep the model in a module of its own.
        """

    @classmethod
    @abstractmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        """Connect.

        Args:
            settings: ``settings()``'s fields, validated, as plain data with every default filled.

        Raises:
            UnavailableError: The hypervisor does not answer within the provider's bound.
            AccessDeniedError: It does, but not to this user.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the connection back. Idempotent; never raises."""

    @abstractmethod
    def check(self) -> Iterator[Finding]:
        """Look at what this provider needs, and say how to mend what is wrong. Makes nothing."""

    @abstractmethod
    def hosts(self) -> Sequence[Host]:
        """The hypervisor machines with their capacity; empty where the pool hides them."""

    @property
    def endpoint(self) -> str:
        """What it is connected to, for people."""
        return self.name

    @property
    def identity(self) -> str:
        """The same as long as it is the same hypervisor and the same place in it.

        What was left unfinished is only ended where it was begun, so this must not change with the
        way that leads there, and must differ where VMs and files of the one are not to be found.
        """
        return self.endpoint

    # --- VMs ---

    @abstractmethod
    def prepare(self, spec: VMSpec) -> VMSpec:
        """Complete and check a spec against the hypervisor; make nothing.

        Fills in each interface's network, and for static addresses the prefix length, gateways
        and name servers that the network is known to have.

        Raises:
            InvalidError: An address outside its network, a disk smaller than the template, …
            NotFoundError: A network or a host (``host-not-found``) that does not exist.
            ConflictError: The VM's name (``vm-exists``) or an address (``address-taken``) is taken.
        """

    @abstractmethod
    def plan(self, spec: VMSpec, delivery: Delivery, mark: Mark) -> str:
        """The native artefact ``create`` would submit (domain XML, command lines, …), as text."""

    @abstractmethod
    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        """Make the VM: defined, not running (sentences 5 to 8).

        Raises:
            ConflictError: ``vm-exists``.
            CapacityError: No room left.
            HypervisorError: Whatever else the hypervisor refuses.
        """

    @abstractmethod
    def start(self, vm: str, delivery: Delivery | None) -> None:
        """Start a VM that is off, with this delivery in place (sentence 10).

        Without a delivery the VM starts with the one it has. Returns when the guest's CPUs run,
        not when its system is up.
        """

    @abstractmethod
    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        """Stop a VM (sentence 11).

        Raises:
            DeadlineError: The guest did not stop within ``timeout`` seconds.
        """

    @abstractmethod
    def delete(self, vm: str) -> None:
        """Remove a VM and all that was made for it (sentence 12)."""

    @abstractmethod
    def write_mark(self, vm: str, mark: Mark) -> None:
        """Replace the VM's mark, in one step that cannot be seen half done."""

    @abstractmethod
    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,
    ) -> Sequence[VM]:
        """VMs as they are now, foreign ones included (sentences 14 to 16).

        Args:
            vms: Names or UUIDs; None means all.
            evidence: Also ask for addresses and the last receipt, which costs requests.
            known: Marks of complete VMs that the caller has already, by UUID. Where reading a
                mark costs a request of its own, these need not be read again.
        """

    @abstractmethod
    def metrics(self, vms: Collection[str] | None = None) -> Sequence[Metrics]:
        """Counters of the VMs that are running, by name or UUID; None means all."""

    @abstractmethod
    def set_addresses(self, vm: str, interfaces: Sequence[Interface]) -> Sequence[Interface]:
        """Make the hypervisor's own network agree with these static addresses.

        Checks and completes the interfaces as ``prepare`` does and returns them; reserves the
        addresses where the hypervisor runs the network's DHCP, and gives back those that the VM
        no longer has. The guest learns its addresses from its context, not from here.

        Raises:
            InvalidError: An address outside its network.
            ConflictError: ``address-taken``.
        """

    @abstractmethod
    def discard(self, resource: Resource) -> Discarded:
        """Remove one announced resource (sentence 9)."""

    # --- convenience, the same for all ---

    def __enter__(self) -> Self:
        """Use the provider as a context manager that closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


# --- optional protocols: a provider has a feature exactly when it implements its protocol --------


class Progress(Protocol):
    """Told how far a long transfer is."""

    def __call__(self, done: int, total: int | None) -> None:
        """``done`` of ``total`` bytes; the total may be unknown."""


@runtime_checkable
class TemplateStore(Protocol):
    """Templates can be kept in the pool."""

    def list_templates(self) -> Sequence[Template]:
        """All templates whose import was finished."""

    def find_template(self, name: str) -> Template | None:
        """The one of that name, if its import was finished."""

    def template_room(self) -> int | None:
        """Bytes left for images; None when that cannot be known."""

    def import_template(
        self, files: Mapping[str, Path], template: Template, undo: UndoLog, progress: Progress
    ) -> None:
        """Put a checked image into the pool under a temporary name, and publish it as last step.

        Args:
            files: ``image``, and ``kernel`` and ``ramdisk`` where the template has them.
            template: Its ``operation`` is that of the undo log.
            undo: Told before anything is made.
            progress: Told how much of the image is there.

        Raises:
            ConflictError: ``template-exists``.
            CapacityError: The pool has no room for it.
        """

    def delete_template(self, name: str) -> None:
        """Remove a template; what an earlier try left of it as well.

        Raises:
            NotFoundError: ``template-not-found``.
            ConflictError: ``template-in-use``: VMs still depend on it.
        """


@runtime_checkable
class ConsoleLog(Protocol):
    """What the guest printed on its console is kept."""

    def console_tail(self, vm: str, lines: int) -> tuple[str, ...]:
        """The last lines, control characters removed; empty when there are none."""


@runtime_checkable
class LiveContext(Protocol):
    """A running VM can be given a new delivery, by the carriers whose limits say ``live``."""

    def update_context(self, vm: str, delivery: Delivery) -> None:
        """Put this delivery in place of the VM's (sentence 20).

        Raises:
            ConflictError: ``vm-not-running``.
            UnsupportedError: ``carrier-impossible``: not by the carrier of this delivery.
        """


@runtime_checkable
class Suspend(Protocol):
    """A VM can be put aside with its memory on disk, and go on later (sentence 21)."""

    def suspend(self, vm: str) -> None:
        """Save the VM's memory and take its power away.

        Raises:
            ConflictError: ``vm-not-running``: it is off.
            CapacityError: No room for its memory.
        """

    def resume(self, vm: str) -> None:
        """Let the VM go on. Returns when its CPUs run.

        Raises:
            ConflictError: ``vm-not-suspended``: it is off, and nothing was saved.
        """


@runtime_checkable
class Pause(Protocol):
    """The CPUs of a VM can be held; ``Suspend.resume`` lets it go on (sentence 24)."""

    def pause(self, vm: str) -> None:
        """Hold the VM's CPUs.

        Raises:
            ConflictError: ``vm-not-running``: it is off; ``vm-suspended``.
        """


@runtime_checkable
class Snapshots(Protocol):
    """A VM can be put back to what it was at an earlier time (sentence 22)."""

    def take_snapshot(self, vm: str, name: str, undo: UndoLog) -> None:
        """Keep the VM as it is now, under this name.

        Raises:
            ConflictError: ``snapshot-exists``.
            CapacityError: No room for it.
        """

    def list_snapshots(self, vm: str) -> Sequence[Snapshot]:
        """The snapshots of a VM that are whole, those that others took included."""

    def restore_snapshot(self, vm: str, name: str) -> None:
        """Put the VM back to what it was.

        Raises:
            NotFoundError: ``snapshot-not-found``.
            ConflictError: ``vm-running``.
        """

    def delete_snapshot(self, vm: str, name: str) -> None:
        """Remove a snapshot; what an earlier try left of it as well.

        Raises:
            NotFoundError: ``snapshot-not-found``.
        """


@runtime_checkable
class Clone(Protocol):
    """A VM can be made from the disk of another one (sentence 23)."""

    def clone(
        self, source: str, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog
    ) -> None:
        """Make the VM: defined, not running.

        Args:
            source: UUID of the VM whose root disk is copied.
            spec: The new VM; its ``disk`` is not looked at.
            delivery: Its own.
            mark: Its own.
            undo: Told before anything is made.

        Raises:
            ConflictError: ``vm-exists``; ``vm-running`` or ``vm-suspended``: the source is not off.
            CapacityError: No room left.
        """


@runtime_checkable
class Injection(Protocol):
    """Files can be put into the disk of a VM (sentence 26)."""

    def inject_files(self, vm: str, files: Sequence[File], *, timeout: float) -> None:
        """Put these files there, with their modes and owners, within ``timeout`` seconds.

        Raises:
            ConflictError: ``vm-running``, ``vm-suspended``.
            InvalidError: A file that cannot be put there; the message names its field.
            UnsupportedError: ``injection-unavailable``.
        """


@runtime_checkable
class Watch(Protocol):
    """The hypervisor tells what happens to VMs as it happens (sentence 25)."""

    def changes(self, timeout: float) -> Sequence[Change]:
        """What has happened; waits for at most ``timeout`` seconds.

        Raises:
            UnavailableError: Something may have happened that was not heard.
        """


class ConsoleStream(Protocol):
    """A console that somebody is attached to."""

    def read(self, timeout: float) -> bytes:
        """Bytes the guest sent; empty when none came in time.

        Raises:
            EOFError: The console was closed.
        """

    def write(self, data: bytes) -> None:
        """Send bytes to the guest."""

    def close(self) -> None:
        """Detach. Idempotent."""


@runtime_checkable
class Console(Protocol):
    """A person can attach to the guest's console."""

    def open_console(self, vm: str) -> ConsoleStream:
        """Attach to the first text console.

        Raises:
            ConflictError: The VM is not running, or somebody else is attached.
        """


OPTIONAL: Mapping[str, type] = {
    "templates": TemplateStore,
    "console": Console,
    "console-log": ConsoleLog,
    "live-context": LiveContext,
    "suspend": Suspend,
    "pause": Pause,
    "snapshots": Snapshots,
    "clone": Clone,
    "watch": Watch,
    "injection": Injection,
}
"""The optional features by the word that ``ims show-provider`` uses."""


def require(provider: Provider, protocol: type[T]) -> T:
    """The provider as that protocol.

    Raises:
        UnsupportedError: The provider does not implement it.
    """
    if isinstance(provider, protocol):
        return provider
    feature = next(word for word, known in OPTIONAL.items() if known is protocol)
    raise UnsupportedError(
        f"provider {provider.name} has no feature {feature!r}",
        hint=f"`ims show-provider {provider.name}` lists what it can do",
    )


def require_carrier(provider: Provider, delivery: Delivery) -> None:
    """Refuse a delivery by a carrier that the provider does not declare.

    Raises:
        UnsupportedError: ``carrier-impossible``.
    """
    carriers = provider.features.carriers
    if delivery.carrier not in carriers:
        raise UnsupportedError(
            f"provider {provider.name} has no carrier {delivery.carrier}",
            code="carrier-impossible",
            hint=f"it has: {', '.join(carriers)}",
        )
