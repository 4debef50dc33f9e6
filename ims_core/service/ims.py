"""The ``Ims`` class: every verb, for the command line and for orchestration code alike."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Self

from ims_core.config import load_config, state_dir
from ims_core.models import Context, Wait
from ims_core.service.events import Event, Phase, ignore
from ims_core.service.session import Session, open_session
from ims_core.service.waiting import CONSOLE_LINES, Deadline
from ims_core.spi import Console, ConsoleLog, TemplateStore, require
from ims_core.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path
    from types import TracebackType

    from ims_core.models import VM, Address, Finding, Metrics, ShownContext, Template
    from ims_core.service.events import Listener
    from ims_core.spi import ConsoleStream

__all__ = ["Ims"]


class Ims:
    """Creates and manages VMs in the pools of one configuration.

    Every method that takes ``provider`` and ``pool`` means the pool of that name, else the
    provider's default pool, else the configuration's default pool. Connections are opened when
    first needed and closed by :meth:`close`, or at the end of the ``with`` block. An instance may
    be used from several threads.

    Args:
        config: The configuration file; ``IMS_CONFIG`` or the platform's place if None.
        state: The state directory; ``IMS_STATE`` or the platform's place if None.
        progress: Told each step of long operations.
    """

    def __init__(
        self,
        *,
        config: Path | None = None,
        state: Path | None = None,
        progress: Listener = ignore,
    ) -> None:
        """Read the configuration; connects to nothing yet."""
        self.config = load_config(config)
        self.state = state or state_dir()
        self._tell = progress
        self._store: Store | None = None
        self._sessions: dict[tuple[str, str], Session] = {}
        self._lock = Lock()

    def close(self) -> None:
        """Close every connection. Idempotent."""
        with self._lock:
            while self._sessions:
                self._sessions.popitem()[1].provider.close()
            if self._store is not None:
                self._store.close()
                self._store = None

    def __enter__(self) -> Self:
        """Use as a context manager that closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def session(self, *, provider: str = "", pool: str = "") -> Session:
        """The pool that is meant, with its provider open: for what this class has no verb for."""
        wanted = self.config.pool(name=pool, provider=provider)
        with self._lock:
            key = (wanted.provider, wanted.name)
            if key not in self._sessions:
                opened = open_session(wanted, self._opened_store(), self._tell)
                self._sessions[key] = opened
                if wanted.name not in self.config.pools:
                    self._tell(Event(Phase.CONNECT, opened.provider.endpoint))
            return self._sessions[key]

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

        Raises:
            InvalidError: A value that cannot be right; nothing was made.
            NotFoundError: No such provider, pool, template, layout or network.
            ConflictError: The name (``vm-exists``) or an address (``address-taken``) is taken.
            DeadlineError: The VM did not come that far in time; it was removed again.
            GuestError: The guest crashed or could not apply its context; it was removed again.
        """
        from ims_core.service.create import Order, create  # noqa: PLC0415 - as for templates

        deadline = Deadline(timeout)
        order = Order(
            name, template, memory, vcpus, disk, context or Context(), layout, carrier, Wait(wait)
        )
        return create(self.session(provider=provider, pool=pool), order, deadline)

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
    ) -> str:
        """The native artefact that :meth:`create_vm` would submit. Makes nothing."""
        from ims_core.service.create import Order, prepare  # noqa: PLC0415 - as for templates

        order = Order(name, template, memory, vcpus, disk, context or Context(), layout, carrier)
        session = self.session(provider=provider, pool=pool)
        ready = prepare(session, order)
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
        session = self.session(provider=provider, pool=pool)
        from ims_core.service import lifecycle  # noqa: PLC0415 - not for a listing

        lifecycle.stop(session, name, force=force, deadline=Deadline(timeout))

    def delete_vm(self, name: str, *, provider: str = "", pool: str = "") -> None:
        """Remove a VM, running or not, and everything that was made for it."""
        session = self.session(provider=provider, pool=pool)
        from ims_core.service import lifecycle  # noqa: PLC0415 - not for a listing

        lifecycle.delete(session, name)

    def list_vms(
        self, *, provider: str = "", pool: str = "", include_foreign: bool = False
    ) -> list[VM]:
        """The VMs that IMS made in a pool, sorted by name; with the foreign ones if asked."""
        session = self.session(provider=provider, pool=pool)
        found = session.provider.inspect(known=session.store.marks(session.pool.name))
        listed = [vm for vm in found if include_foreign or vm.mark is not None]
        return sorted((_told(vm, session) for vm in listed), key=lambda vm: vm.name)

    def show_vm(self, name: str, *, provider: str = "", pool: str = "") -> VM:
        """One VM with its addresses, its last receipt, and what is pending for its next start."""
        session = self.session(provider=provider, pool=pool)
        vm = session.find(name, evidence=True)
        from ims_core.service import lifecycle  # noqa: PLC0415 - not for a listing

        intent = session.store.intent(vm.uuid)
        return replace(
            _told(vm, session),
            pending=lifecycle.pending_addresses(vm, intent),
            context_pending=lifecycle.context_pending(vm, intent),
        )

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
        timeout: float = 3600.0,
    ) -> Template:
        """Bring a qcow2 or raw image, a file or an https URL, into a pool as a template.

        Args:
            source: Path or https URL. An interrupted download is resumed.
            name: Name of the template, unique in its pool.
            provider: See the class.
            pool: See the class.
            image_format: ``qcow2`` or ``raw``; found out when empty.
            sha256: The digest the file must have; recorded, with a warning, when empty.
            layout: The context layout its guests understand.
            default_user: Whom ``Context.ssh_keys`` belong to in its guests.
            min_memory: Bytes that its guests need.
            timeout: Seconds for all of it.
        """
        from ims_core.service.templates import import_template  # noqa: PLC0415 - ssl, http, …

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
            deadline=Deadline(timeout),
        )

    def list_templates(self, *, provider: str = "", pool: str = "") -> list[Template]:
        """The templates of a pool, sorted by name."""
        session = self.session(provider=provider, pool=pool)
        found = require(session.provider, TemplateStore).list_templates()
        return sorted(found, key=lambda template: template.name)

    def delete_template(self, name: str, *, provider: str = "", pool: str = "") -> None:
        """Remove a template that no VM depends on."""
        session = self.session(provider=provider, pool=pool)
        require(session.provider, TemplateStore).delete_template(name)

    def check(self, *, provider: str = "", pool: str = "") -> list[Finding]:
        """What is wrong with a pool, each with the command that mends it."""
        return list(self.session(provider=provider, pool=pool).provider.check())

    def _opened_store(self) -> Store:
        """The store; call it with the lock held."""
        if self._store is None:
            self._store = Store(self.state)
        return self._store


def _told(vm: VM, session: Session) -> VM:
    """A VM with what the service knows of it."""
    problem = vm.problem
    if vm.mark is not None and not vm.mark.complete:
        problem = problem or "its create was not finished"
    return replace(vm, pool=session.pool.name, problem=problem)


def _names_of(metrics: Metrics) -> tuple[str, str]:
    return metrics.name, metrics.uuid
