"""The ``Ims`` class: every verb, for the command line and for orchestration code alike."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from ims_core.config import load_config, state_dir
from ims_core.errors import InvalidError, NotFoundError
from ims_core.models import Context, Wait
from ims_core.service.connections import Connections
from ims_core.service.events import ignore
from ims_core.service.waiting import CONSOLE_LINES, Deadline
from ims_core.service.workers import Workers
from ims_core.spi import Console, ConsoleLog, TemplateStore, require

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from ims_core.models import (
        VM,
        Address,
        File,
        Finding,
        Metrics,
        ShownContext,
        Snapshot,
        Template,
    )
    from ims_core.placement import Constraints
    from ims_core.service.events import Listener, Watched
    from ims_core.service.handles import Handle
    from ims_core.service.order import Completion
    from ims_core.service.placing import Choice
    from ims_core.service.recovery import Recovery
    from ims_core.service.session import Session
    from ims_core.spi import ConsoleStream
    from ims_core.store import Operation

__all__ = ["Ims"]

PLAN_SECONDS = 60.0
DEFAULT_PLACEMENT = "spread"

P = ParamSpec("P")
T = TypeVar("T")


class Ims:
    """Creates and manages VMs in the pools of one configuration.

    Every method that takes ``provider`` and ``pool`` means the pool of that name, else the
    provider's default pool, else the configuration's default pool. Connections are opened when
    first needed and closed by :meth:`close`, or at the end of the ``with`` block. An instance may
    be used from several threads.

    Args:
        config: The configuration file; ``IMS_CONFIG`` or the platform's place if None.
        state: The state directory; ``IMS_STATE`` or the platform's place if None.
        progress: Told each step of long operations, one at a time.
        workers: How many of the submitted operations run at a time.
    """

    def __init__(
        self,
        *,
        config: Path | None = None,
        state: Path | None = None,
        progress: Listener = ignore,
        workers: int = 8,
    ) -> None:
        """Read the configuration; connects to nothing yet."""
        self.config = load_config(config)
        self.state = state or state_dir()
        self._open = Connections(self.config, self.state, progress)
        self._workers = Workers(workers)

    def close(self) -> None:
        """Wait for what was submitted, and close every connection. Idempotent."""
        self._workers.close()
        self._open.close()

    def __enter__(self) -> Self:
        """Use as a context manager that closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; when an exception ends the block, what was submitted is cancelled before."""
        if error is not None:
            self._workers.cancel()
        self.close()

    def session(self, *, provider: str = "", pool: str = "") -> Session:
        """The pool that is meant, with its provider open: for what this class has no verb for."""
        return self._open.session(provider=provider, pool=pool)

    def submit(self, verb: Callable[P, T], *arguments: P.args, **words: P.kwargs) -> Handle[T]:
        """Run a verb in the background: ``ims.submit(ims.create_vm, "web01", wait="ready")``.

        Any number may be submitted; ``workers`` of them run at a time.

        Returns:
            A ``concurrent.futures.Future`` with ``phase`` and ``progress``, whose ``cancel()``
            also stops and undoes what has begun.
        """
        return self._workers.submit(lambda: verb(*arguments, **words))

    # --- VMs ---

    def create_vm(
        self,
        name: str = "",
        *,
        provider: str = "",
        pool: str = "",
        template: str = "",
        memory: int = 0,
        vcpus: int = 1,
        disk: int = 0,
        context: Context | None = None,
        layout: str = "",
        carrier: str = "",
        wait: Wait | str = Wait.RUNNING,
        timeout: float = 300.0,
        request_id: str = "",
        keep_on_failure: bool = False,
        group: str = "",
        placement: str = "",
        constraints: Constraints | None = None,
        completion: Completion | None = None,
    ) -> VM:
        """Create a VM, start it, and wait until it is as far as asked; or leave nothing of it.

        Args:
            name: Made up when empty.
            provider: See the class.
            pool: See the class.
            template: The pool's default template, or its only one, when empty.
            memory: Bytes; 512 MiB or the template's minimum when 0.
            vcpus: Virtual CPUs.
            disk: Bytes of the root disk; the template's size when 0.
            context: What the guest is told; DHCP on one card and the VM's name when None.
            layout: Instead of the template's context layout.
            carrier: Instead of the provider's preferred carrier.
            wait: ``defined``, ``running``, ``address`` or ``ready``.
            timeout: Seconds for all of it.
            request_id: Of the caller's choice. The same order under the same id makes one VM,
                however often it is given, also by several processes at once.
            keep_on_failure: Keep what was made when it fails, for a look; :meth:`recover` with
                the operation's id removes it.
            group: The group of pools among which it is placed, instead of one pool.
            placement: The strategy instead of the group's: ``spread``, ``pack``, ``round-robin``,
                ``free-memory``, or one that a plugin adds.
            constraints: Where it may be placed.
            completion: Called with the VM as it will be made; it says what of the context depends
                on that.

        Raises:
            InvalidError: A value that cannot be right; nothing was made.
            NotFoundError: No such provider, pool, template, layout or network.
            ConflictError: The name (``vm-exists``) or an address (``address-taken``) is taken; or
                the request's id is that of another order (``request-mismatch``).
            DeadlineError: The VM did not come that far in time; it was removed again.
            GuestError: The guest crashed or could not apply its context; it was removed again.
        """
        from ims_core.service.create import create  # noqa: PLC0415 - as for templates
        from ims_core.service.order import Order  # noqa: PLC0415

        deadline = Deadline(timeout)
        order = Order(
            name=name,
            template=template,
            memory=memory,
            vcpus=vcpus,
            disk=disk,
            context=context or Context(),
            layout=layout,
            carrier=carrier,
            wait=Wait(wait),
            request=request_id,
            keep=keep_on_failure,
            completion=completion,
        )
        if not (group or placement or constraints):
            return create(self.session(provider=provider, pool=pool), order, deadline)
        from ims_core.service.placing import create_somewhere  # noqa: PLC0415 - seldom asked for

        choice = self._choice(group, placement, constraints, provider=provider, pool=pool)
        return create_somewhere(
            self._open.store, lambda name: self.session(pool=name), choice, order, deadline
        )

    def clone_vm(
        self,
        source: str,
        name: str = "",
        *,
        addresses: Sequence[str] = (),
        provider: str = "",
        pool: str = "",
        wait: Wait | str = Wait.RUNNING,
        timeout: float = 300.0,
    ) -> VM:
        """Make a VM from the disk of another one that is off; or leave nothing of it.

        It is told what its source is, but for what tells the two apart: it has its own name, host
        name, UUID and MACs, no host keys, and DHCP on its cards, or what a network's range in
        ``ims.toml`` gives. What is on the disk is on its own disk too.

        Args:
            source: Name or UUID of the VM that is copied; it stays as it is.
            name: Made up when empty.
            addresses: Static addresses of its first card.
            provider: See the class.
            pool: See the class.
            wait: As for :meth:`create_vm`.
            timeout: Seconds for all of it.

        Raises:
            NotFoundError: ``context-not-found``: another store made the source;
                ``template-not-found``: its template is gone.
            ConflictError: ``vm-running``, ``vm-suspended``: the source is not off; and as
                :meth:`create_vm`.
            UnsupportedError: The provider cannot clone.
        """
        from ims_core.service.cloning import clone  # noqa: PLC0415 - not for a listing

        return clone(
            self.session(provider=provider, pool=pool),
            source,
            name,
            addresses=addresses,
            wait=Wait(wait),
            deadline=Deadline(timeout),
        )

    def plan_vm(
        self,
        name: str = "",
        *,
        provider: str = "",
        pool: str = "",
        template: str = "",
        memory: int = 0,
        vcpus: int = 1,
        disk: int = 0,
        context: Context | None = None,
        layout: str = "",
        carrier: str = "",
        completion: Completion | None = None,
    ) -> str:
        """The native artefact that :meth:`create_vm` would submit. Makes nothing."""
        from ims_core.service.create import prepare  # noqa: PLC0415 - as for templates
        from ims_core.service.order import Order  # noqa: PLC0415

        told = context or Context()
        order = Order(name, template, memory, vcpus, disk, told, layout, carrier)
        order = replace(order, completion=completion)
        session = self.session(provider=provider, pool=pool)
        ready = prepare(session, order, Deadline(PLAN_SECONDS))
        return session.provider.plan(ready.spec, ready.delivery, ready.mark)

    def start_vm(
        self,
        name: str,
        *,
        provider: str = "",
        pool: str = "",
        wait: Wait | str = Wait.RUNNING,
        timeout: float = 300.0,
    ) -> VM:
        """Start a VM with a fresh delivery of its context, and wait as :meth:`create_vm` does.

        Raises:
            ConflictError: It is running already.
        """
        session = self.session(provider=provider, pool=pool)
        from ims_core.service import lifecycle  # noqa: PLC0415 - not for a listing

        return lifecycle.start(session, name, Wait(wait), Deadline(timeout))

    def stop_vm(
        self,
        name: str,
        *,
        provider: str = "",
        pool: str = "",
        force: bool = False,
        timeout: float = 60.0,
    ) -> None:
        """Ask the guest to stop and wait until it has; with ``force``, take the power away.

        Raises:
            DeadlineError: The guest did not stop in time; it keeps running.
        """
        from ims_core.service import lifecycle  # noqa: PLC0415 - not for a listing

        deadline = Deadline(timeout)
        self._open.without_fail(
            lambda session: lifecycle.stop(session, name, force=force, deadline=deadline),
            provider=provider,
            pool=pool,
        )

    def suspend_vm(
        self, name: str, *, provider: str = "", pool: str = "", timeout: float = 300.0
    ) -> None:
        """Save a VM's memory to disk and take its power; one that is suspended is left so.

        Raises:
            ConflictError: ``vm-not-running``: it is off.
            CapacityError: There is no room for its memory; it keeps running.
            UnsupportedError: The provider cannot suspend.
        """
        from ims_core.service import power  # noqa: PLC0415 - not for a listing

        power.suspend(self.session(provider=provider, pool=pool), name, Deadline(timeout))

    def pause_vm(
        self, name: str, *, provider: str = "", pool: str = "", timeout: float = 60.0
    ) -> None:
        """Hold a VM's CPUs; its memory stays where it is. :meth:`resume_vm` lets it go on.

        Raises:
            ConflictError: ``vm-not-running``: it is off; ``vm-suspended``.
            UnsupportedError: The provider cannot pause.
        """
        from ims_core.service import power  # noqa: PLC0415 - not for a listing

        power.pause(self.session(provider=provider, pool=pool), name, Deadline(timeout))

    def resume_vm(
        self,
        name: str,
        *,
        provider: str = "",
        pool: str = "",
        wait: Wait | str = Wait.RUNNING,
        timeout: float = 300.0,
    ) -> VM:
        """Let a suspended or paused VM go on where it was; one that runs is left so.

        Its guest is told nothing new: what is pending waits for its next start.

        Raises:
            InvalidError: ``wait-impossible``: a guest that goes on does not answer again.
            ConflictError: ``vm-not-suspended``: it is off.
            UnsupportedError: The provider cannot suspend.
        """
        from ims_core.service import power  # noqa: PLC0415 - not for a listing

        session = self.session(provider=provider, pool=pool)
        return power.resume(session, name, Wait(wait), Deadline(timeout))

    def reboot_vm(
        self,
        name: str,
        *,
        provider: str = "",
        pool: str = "",
        force: bool = False,
        wait: Wait | str = Wait.RUNNING,
        timeout: float = 300.0,
    ) -> VM:
        """Stop a VM and start it with a fresh delivery of its context, as one operation.

        So what is pending takes effect, and a receipt proves the new start. If this is cut short
        in between, the VM is started all the same.

        Args:
            name: Name or UUID of the VM.
            provider: See the class.
            pool: See the class.
            force: Take the power away instead of asking the guest.
            wait: As for :meth:`start_vm`.
            timeout: Seconds for all of it.

        Raises:
            ConflictError: ``vm-not-running``: it is off.
            DeadlineError: The guest did not stop in time, and keeps running; or it did not come
                that far after its start.
        """
        from ims_core.service import power  # noqa: PLC0415 - not for a listing

        session = self.session(provider=provider, pool=pool)
        return power.reboot(session, name, Wait(wait), force=force, deadline=Deadline(timeout))

    def delete_vm(self, name: str, *, provider: str = "", pool: str = "") -> None:
        """Remove a VM, running or not, and everything that was made for it."""
        from ims_core.service import lifecycle  # noqa: PLC0415 - not for a listing

        self._open.without_fail(
            lambda session: lifecycle.delete(session, name),
            provider=provider,
            pool=pool,
            afterwards=lambda store, uuid: store.forget(uuid),
        )

    def adopt_vm(self, name: str, *, provider: str = "", pool: str = "") -> VM:
        """Manage a VM that somebody else, or another store, has made.

        Only its mark is written. The disks of a VM that IMS did not make stay when it is deleted.

        Raises:
            NotFoundError: ``vm-not-found``.
        """
        from ims_core.service.adoption import adopt  # noqa: PLC0415 - as for templates

        return adopt(self.session(provider=provider, pool=pool), name)

    def list_vms(
        self, *, provider: str = "", pool: str = "", include_foreign: bool = False
    ) -> list[VM]:
        """The VMs that IMS made in a pool, sorted by name; with the foreign ones if asked."""

        def listed(session: Session) -> list[VM]:
            found = session.provider.inspect(known=session.store.marks(session.pool.name))
            wanted = [vm for vm in found if include_foreign or vm.mark is not None]
            return sorted((_told(vm, session) for vm in wanted), key=lambda vm: vm.name)

        return self._open.without_fail(listed, provider=provider, pool=pool)

    def show_vm(self, name: str, *, provider: str = "", pool: str = "") -> VM:
        """One VM with its addresses, its last receipt, and what is pending for its next start."""
        from ims_core.service import lifecycle  # noqa: PLC0415 - not for a listing

        def shown(session: Session) -> VM:
            vm = session.find(name, evidence=True)
            intent = session.store.intent(vm.uuid)
            return replace(
                _told(vm, session),
                pending=lifecycle.pending_addresses(vm, intent),
                context_pending=lifecycle.context_pending(vm, intent),
            )

        return self._open.without_fail(shown, provider=provider, pool=pool)

    def metrics(
        self, names: Collection[str] = (), *, provider: str = "", pool: str = ""
    ) -> list[Metrics]:
        """Counters of the running VMs that IMS made, or of the named ones, by one request."""
        session = self.session(provider=provider, pool=pool)
        found = session.provider.metrics(names or None)
        ours = set(session.store.marks(session.pool.name))
        clear = {each for metrics in found if metrics.uuid in ours for each in _names_of(metrics)}
        # The rest is of another store, foreign, not running, or not there at all.
        doubtful = {each.uuid for each in found} - ours | set(names) - clear
        if doubtful:
            looked_at = session.provider.inspect(doubtful)
            for name in set(names) - clear:
                session.require_ours(name, looked_at)
            ours |= {vm.uuid for vm in looked_at if vm.mark is not None}
        return [each for each in found if each.uuid in ours]

    # --- snapshots ---

    def snapshot_vm(
        self,
        name: str,
        snapshot: str = "",
        *,
        provider: str = "",
        pool: str = "",
        timeout: float = 300.0,
    ) -> Snapshot:
        """Keep what a VM is now, with its memory if it runs; its state stays what it is.

        Args:
            name: Name or UUID of the VM.
            snapshot: Name of the snapshot, unique for the VM; made of the time when empty.
            provider: See the class.
            pool: See the class.
            timeout: Seconds until it must have begun.

        Raises:
            ConflictError: ``snapshot-exists``.
            CapacityError: There is no room for it; nothing was made.
            UnsupportedError: The provider takes none.
        """
        from ims_core.service import snapshots  # noqa: PLC0415 - not for a listing

        session = self.session(provider=provider, pool=pool)
        return snapshots.take(session, name, snapshot, Deadline(timeout))

    def list_snapshots(self, name: str, *, provider: str = "", pool: str = "") -> list[Snapshot]:
        """The snapshots of a VM, oldest first."""
        from ims_core.service import snapshots  # noqa: PLC0415 - not for a listing

        return snapshots.listed(self.session(provider=provider, pool=pool), name)

    def restore_snapshot(
        self,
        name: str,
        snapshot: str,
        *,
        provider: str = "",
        pool: str = "",
        timeout: float = 300.0,
    ) -> VM:
        """Put a VM that is off or suspended back to what it was; what it is now is lost.

        With the memory of a running VM in it, the VM is suspended then, and :meth:`resume_vm` lets
        it go on; else it is off. What it was told since is pending for its next start.

        Raises:
            NotFoundError: ``snapshot-not-found``.
            ConflictError: ``vm-running``.
            UnsupportedError: The provider takes none.
        """
        from ims_core.service import snapshots  # noqa: PLC0415 - not for a listing

        session = self.session(provider=provider, pool=pool)
        return snapshots.restore(session, name, snapshot, Deadline(timeout))

    def delete_snapshot(
        self,
        name: str,
        snapshot: str,
        *,
        provider: str = "",
        pool: str = "",
        timeout: float = 300.0,
    ) -> None:
        """Remove a snapshot; the VM stays as it is now.

        Raises:
            NotFoundError: ``snapshot-not-found``.
            UnsupportedError: The provider takes none.
        """
        from ims_core.service import snapshots  # noqa: PLC0415 - not for a listing

        session = self.session(provider=provider, pool=pool)
        snapshots.delete(session, name, snapshot, Deadline(timeout))

    # --- context ---

    def show_context(
        self,
        name: str,
        *,
        layout: str = "",
        reveal: bool = False,
        provider: str = "",
        pool: str = "",
    ) -> ShownContext:
        """What a VM would be told at its next start, file by file.

        Args:
            name: Name or UUID of the VM.
            layout: Instead of the VM's own.
            reveal: With its secrets, contents of files and scripts, and user data.
            provider: See the class.
            pool: See the class.
        """
        from ims_core.service import context  # noqa: PLC0415 - as for templates

        session = self.session(provider=provider, pool=pool)
        return context.show(session, name, layout=layout, reveal=reveal)

    def update_context(
        self,
        name: str,
        change: Callable[[Context], Context],
        *,
        wait: Wait | str | None = None,
        timeout: float = 60.0,
        provider: str = "",
        pool: str = "",
    ) -> VM:
        """Change what a VM is told: at once where a running guest notices, else at its next start.

        Args:
            name: Name or UUID of the VM.
            change: From the VM's context to the new one; cards cannot be changed by it. Its errors
                reach the caller, and then nothing was changed.
            wait: ``running`` or ``ready``; None waits for the receipt where one will come.
            timeout: Seconds for all of it.
            provider: See the class.
            pool: See the class.

        Returns:
            The VM; ``context_pending`` says whether the guest is told only at its next start.

        Raises:
            InvalidError: A value that cannot be right; nothing was changed.
            GuestError: The guest could not apply it; the new context is kept.
            DeadlineError: The guest has not answered in time; the new context is kept.
        """
        from ims_core.service import context  # noqa: PLC0415 - as for templates

        session = self.session(provider=provider, pool=pool)
        how_far = None if wait is None else Wait(wait)
        return context.update(session, name, change, how_far, Deadline(timeout))

    # --- addresses and console ---

    def inject_files(
        self,
        name: str,
        files: Sequence[File],
        *,
        timeout: float = 300.0,
        provider: str = "",
        pool: str = "",
    ) -> None:
        """Put files into the disk of a VM that is off, without any help of its guest.

        They are no part of its context, and stay whatever it is told.

        Args:
            name: Name or UUID.
            files: With path, content, mode and owner.
            timeout: Seconds for all of it.
            provider: See the class.
            pool: See the class.

        Raises:
            InvalidError: A file that cannot be put there; nothing was written.
            ConflictError: ``vm-running``, ``vm-suspended``.
            UnsupportedError: The provider cannot, or ``injection-unavailable``: what it needs is
                not installed on this machine.
            HypervisorError: ``image-unreadable``: its disk has no system that can be read.
        """
        from ims_core.service.injection import inject  # noqa: PLC0415 - as for templates

        inject(self.session(provider=provider, pool=pool), name, files, Deadline(timeout))

    def get_addresses(self, name: str, *, provider: str = "", pool: str = "") -> Sequence[Address]:
        """The addresses of a VM, each with who says so."""
        return self.session(provider=provider, pool=pool).find(name, evidence=True).addresses

    def set_addresses(
        self,
        name: str,
        addresses: Sequence[str],
        *,
        card: int = 0,
        provider: str = "",
        pool: str = "",
    ) -> VM:
        """Give a VM static addresses on one card, or DHCP with none, from its next start on.

        Raises:
            InvalidError: An address outside its network.
            ConflictError: ``address-taken``.
        """
        session = self.session(provider=provider, pool=pool)
        from ims_core.service import lifecycle  # noqa: PLC0415 - not for a listing

        return lifecycle.set_addresses(session, name, addresses, card)

    def open_console(self, name: str, *, provider: str = "", pool: str = "") -> ConsoleStream:
        """Attach to the guest's console.

        Raises:
            UnsupportedError: The provider has none.
        """
        session = self.session(provider=provider, pool=pool)
        console = require(session.provider, Console)
        vm, _ = session.find_ours(name)
        return console.open_console(vm.uuid)

    def console_tail(
        self, name: str, *, lines: int = CONSOLE_LINES, provider: str = "", pool: str = ""
    ) -> tuple[str, ...]:
        """The last lines the guest printed."""
        session = self.session(provider=provider, pool=pool)
        log = require(session.provider, ConsoleLog)
        vm, _ = session.find_ours(name)
        return log.console_tail(vm.uuid, lines)

    # --- templates and health ---

    def import_template(
        self,
        source: str,
        name: str,
        *,
        provider: str = "",
        pool: str = "",
        image_format: str = "",
        sha256: str = "",
        layout: str = "nocloud",
        default_user: str = "",
        min_memory: int = 0,
        boot: str = "",
        kernel: str = "",
        ramdisk: str = "",
        cmdline: str = "",
        timeout: float = 3600.0,
    ) -> Template:
        """Bring an image, a file or an https URL, into a pool as a template.

        Args:
            source: Path or https URL. An interrupted download is resumed. An image in a format
                that the provider does not take is converted to the first of its formats that can
                be written.
            name: Name of the template, unique in its pool.
            provider: See the class.
            pool: See the class.
            image_format: ``qcow2``, ``raw``, ``vmdk``, ``vdi``, ``vhd``, ``ova`` or
                ``ovm-template``; found out when empty.
            sha256: The digest the file must have, as it was given; recorded, with a warning, when
                empty.
            layout: The context layout its guests understand.
            default_user: Whom ``Context.ssh_keys`` belong to in its guests.
            min_memory: Bytes that its guests need.
            boot: How its VMs boot, one of the provider's ``Features.boot_methods``.
            kernel: Path of a kernel for hypervisors that load it themselves.
            ramdisk: Path of that kernel's initial ramdisk.
            cmdline: That kernel's command line.
            timeout: Seconds for all of it.
        """
        from ims_core.service.templates import Boot, import_template  # noqa: PLC0415 - ssl, …

        return import_template(
            self.session(provider=provider, pool=pool),
            source,
            name,
            cache=self.state / "downloads",
            image_format=image_format,
            sha256=sha256,
            layout=layout,
            default_user=default_user,
            min_memory=min_memory,
            boot=Boot(boot, kernel, ramdisk, cmdline),
            deadline=Deadline(timeout),
        )

    def list_templates(self, *, provider: str = "", pool: str = "") -> list[Template]:
        """The templates of a pool, sorted by name."""
        session = self.session(provider=provider, pool=pool)
        found = require(session.provider, TemplateStore).list_templates()
        return sorted(found, key=lambda template: template.name)

    def delete_template(self, name: str, *, provider: str = "", pool: str = "") -> None:
        """Remove a template that no VM depends on."""
        from ims_core.service.templates import delete_template  # noqa: PLC0415 - ssl, http, …

        delete_template(self.session(provider=provider, pool=pool), name)

    def check(self, *, provider: str = "", pool: str = "", fix: bool = False) -> list[Finding]:
        """What is wrong with a pool, each with the command that mends it.

        Args:
            provider: See the class.
            pool: See the class.
            fix: Mend what IMS can: what operations that were cut short have left, and what the
                store knows wrongly. VMs that are complete, and what others made, are not touched.
        """
        from ims_core.service.checking import check  # noqa: PLC0415 - as for templates

        return check(self._open.session(provider=provider, pool=pool, recover=False), fix=fix)

    def _choice(
        self,
        group: str,
        strategy: str,
        constraints: Constraints | None,
        *,
        provider: str,
        pool: str,
    ) -> Choice:
        from ims_core.placement import Constraints  # noqa: PLC0415 - seldom asked for
        from ims_core.service.placing import Choice  # noqa: PLC0415

        if not group:
            pools: tuple[str, ...] = (self.config.pool(name=pool, provider=provider).name,)
        elif provider or pool:
            raise InvalidError("group and pool exclude each other", hint="give one of them")
        else:
            pools = self.config.group(group).pools
            strategy = strategy or self.config.group(group).strategy
        return Choice(pools, strategy or DEFAULT_PLACEMENT, constraints or Constraints())

    def watch(
        self, *, provider: str = "", pool: str = "", seconds: float = inf, every: float = 5.0
    ) -> Iterator[Watched]:
        """Renew the context of each VM that somebody else starts, or that has migrated here.

        It yields what it has seen and done, as it happens. Changes come from the hypervisor where
        its provider has the feature ``watch``; a connection that was lost is made anew.

        Args:
            provider: See the class.
            pool: See the class.
            seconds: How long; until the caller ends it if infinite.
            every: Seconds between two looks at all VMs, where the hypervisor tells nothing.

        Raises:
            InvalidError: ``every`` is no time.
            ImsError: What no patience mends, as access that was denied.
        """
        from ims_core.service.watching import watch  # noqa: PLC0415 - as for templates

        if not every > 0:
            raise InvalidError(f"every: {every:g} s is no time between two looks", hint="use 5")
        session = self._open.session(provider=provider, pool=pool)
        yield from watch(session, seconds=seconds, every=every)

    # --- operations ---

    def list_operations(self, *, pool: str = "", unfinished: bool = False) -> list[Operation]:
        """The operations that this store records, oldest first, without steps and resources.

        Args:
            pool: Of this pool only, unless it is empty.
            unfinished: Only those that are running, were cut short, or could not be undone.
        """
        return self._open.store.operations(pool, unfinished=unfinished)

    def show_operation(self, operation: str) -> Operation:
        """One operation, by its id or by that of its request, with its phases and resources.

        Raises:
            NotFoundError: ``operation-not-found``.
        """
        found = self._open.store.operation(operation)
        if found is None:
            raise NotFoundError(
                f"there is no operation {operation!r} in this store",
                code="operation-not-found",
                hint="`ims list-operations` shows those there are",
            )
        return found

    def recover(
        self,
        operations: Collection[str] = (),
        *,
        provider: str = "",
        pool: str = "",
        dry_run: bool = False,
        give_up: bool = False,
    ) -> list[Recovery]:
        """End what processes that are gone left unfinished: complete it, or remove it.

        Every verb does so for the pool it uses; this one does it alone, and tells.

        Args:
            operations: Only these, by their ids, wherever they are; also those that were kept on
                failure. None: all of one pool.
            provider: See the class.
            pool: See the class.
            dry_run: Only tell what would be done.
            give_up: Take these operations for ended, and leave what they made.

        Raises:
            NotFoundError: ``operation-not-found``.
            InvalidError: To give up, operations must be named.
        """
        from ims_core.service.recovery import recover  # noqa: PLC0415 - as for templates

        if not operations:
            if give_up:
                raise InvalidError("give up which operations?", hint="name them by their ids")
            session = self._open.session(provider=provider, pool=pool, recover=False)
            return recover(session, dry_run=dry_run)
        ended = []
        for each in operations:
            record = self.show_operation(each)
            configured = record.pool in self.config.pools
            session = self._open.session(
                pool=record.pool if configured else "",
                provider="" if configured else record.pool,
                recover=False,
            )
            ended += recover(session, [record.id], dry_run=dry_run, give_up=give_up)
        return ended


def _told(vm: VM, session: Session) -> VM:
    """A VM with what the service knows of it."""
    problem = vm.problem
    if vm.mark is not None and not vm.mark.complete:
        problem = problem or "its create was not finished"
    return replace(vm, pool=session.pool.name, problem=problem)


def _names_of(metrics: Metrics) -> tuple[str, str]:
    return metrics.name, metrics.uuid
