"""A small world to be set back and broken: a Manager, its dom0, and what others have there.

It is built once, with VMs in several states, and kept; each case begins with one of these.
"""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ims_bootparams.media import build
from ims_core.errors import BusyError
from ims_core.models import Carrier, State
from ims_core.undo import Undo
from ims_ovm.manager import Manager as OvmManager
from ims_ovm.opening import open_manager
from ims_ovm.wire.statuses import Statuses
from tests.labs.ovm.server import Server
from tests.ovm.pretended import Client, PretendedDom0
from tests.ovm.provided import (
    OPERATION,
    PretendedOvm,
    PretendedProvider,
    archive_of,
    delivery_of,
    imported,
    mark_of,
    quiet,
    spec_of,
    template_of,
)
from tests.xen.pretended import PretendedXen, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core.models import VM, Delivery
    from ims_ovm import OvmProvider
    from tests.labs.ovm.manager import Manager

HURRY, PATIENCE = 1.0, 20.0
MORE = ("cat", "ln")
"""Programs by which these scripts change something, besides those of the xen provider's."""


class Killed(BaseException):
    """The end of the process of IMS: nobody catches it."""


class Dying:
    """Anything whose n-th call is the last that its process sees to its end."""

    def __init__(self, real: Any, calls: tuple[str, ...], last: Callable[[], None]) -> None:
        self._real, self._calls, self._last = real, calls, last

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in self._calls:
            return found

        def called(*values: object, **named: object) -> object:
            answer = found(*values, **named)
            self._last()
            return answer

        return called


class World:
    """A Manager with a template, a VM and a VM's template of somebody else, and a VM of ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dom0 = PretendedDom0(PretendedXen(folder))
        self.dom0.xen.without_store()
        self.dom0.seed(self.dom0.ovs / "seed_pool/tiny")
        # What every kernel can mount.
        disk = build(Carrier.EXT2_DISK, {"README": b"nobody's business\n"}, "IMS")
        self.archive = archive_of(folder / "archive", Bootparams_img=disk)
        self._port = 0
        self._clients: dict[float, Any] = {}
        self.begin()
        foreign = Client(self.url)
        foreign.template()
        foreign.create("bystander")
        foreign.powerOn(foreign.vm("bystander"))
        foreign.until("RUNNING", "bystander")
        self.foreign = foreign
        self.template = imported(self.provider(), self.archive, "kit")
        self.spec = spec_of(self.template)
        self.nothing = self.look()
        self._keep("nothing")
        self.create(Undo(OPERATION))
        self._keep("defined")
        self.provider().start(self.spec.uuid, delivery_of("22", conf=b"A=2\n"))
        self._keep("running")
        self.provider().suspend(self.spec.uuid)
        self._keep("suspended")

    # --- its life ---

    def begin(self) -> None:
        """The Manager goes on with what it has left."""
        self.manager: Manager = self.dom0.manager()
        self._server = Server(self.manager, self._port)
        self._port = int(self._server.server_address[1])
        self.url = self._server.url
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,))
        self._thread.start()

    def end(self) -> None:
        """The Manager ends, and is waited for."""
        self._server.end()
        self._thread.join()
        self.manager.close()

    def reborn(self) -> None:
        """The Manager dies, if it did not, and another goes on."""
        self.end()
        self.begin()

    def restore(self, state: str) -> None:
        """Have all of it as it was."""
        self.end()
        for part in ("OVS", "manager", "xen"):
            shutil.rmtree(self.folder / part)
            shutil.copytree(self.folder / "kept" / state / part, self.folder / part, symlinks=True)
        self.begin()

    def _keep(self, state: str) -> None:
        self.end()
        for part in ("OVS", "manager", "xen"):
            kept = self.folder / "kept" / state / part
            shutil.copytree(self.folder / part, kept, symlinks=True)
        self.begin()

    # --- providers ---

    def provider(
        self, *, seconds: float = 30.0, last: Callable[[], None] | None = None, **changed: Any
    ) -> OvmProvider:
        """A provider of another process each time, but that the WSDLs were read before.

        Args:
            seconds: For one answer of the Manager.
            last: Called after each call to the Manager or the dom0.
            changed: Settings.
        """
        settings = PretendedOvm(self.dom0, self.manager, self.url).settings(
            timeout=seconds, **changed
        )
        client: Any = self._clients.get(seconds)
        if client is None:
            client = self._clients[seconds] = open_manager(settings).client
            for service in {each.service for each in client.table.operations.values()}:
                client.service(service)
        shell: Any = self.dom0.xen.shell
        if last is not None:
            client = Dying(client, ("call",), last)
            shell = Dying(shell, ("run", "send"), last)
        return PretendedProvider(OvmManager(client, Statuses({}), ""), shell, settings)

    # --- what is done ---

    def create(self, undo: Undo, provider: OvmProvider | None = None, name: str = "web") -> None:
        """Make a VM."""
        spec = replace(self.spec, name=name)
        made = provider or self.provider()
        made.create(spec, delivery_of("11", conf=b"A=1\n"), mark_of(spec), undo)

    def bring(self, undo: Undo, provider: OvmProvider | None = None, **changed: Any) -> None:
        """Import a template."""
        template = template_of(self.archive, "brought", **changed)
        (provider or self.provider()).import_template(
            {"image": self.archive}, template, undo, quiet
        )

    def cut_at(self, step: int) -> None:
        """End the scripts of IMS at this step."""
        self.dom0.xen.cut_at(step, MORE)

    # --- what is there ---

    def look(self) -> set[str]:
        """Everything that is in the repository and in the Manager."""
        return PretendedOvm(self.dom0, self.manager, self.url).leftovers()

    def vm(self) -> VM:
        """Our only VM; the bystander runs whatever happens."""
        found = self.provider().inspect()
        assert {each.name: each.state for each in found if each.mark is None} == {
            "bystander": State.RUNNING
        }
        (ours,) = [each for each in found if each.mark is not None]
        return ours

    def undone(self, undo: Undo) -> None:
        """Whatever was announced is discarded by another process, and leaves nothing; twice."""
        announced = list(undo.announced)
        for _ in range(2):
            undo.announced[:] = announced
            left = patiently(lambda: undo.roll_back(self.provider(), expired=lambda: False))
            assert left.all == ()
        assert self.look() == self.nothing
        assert [each.name for each in self.provider().inspect()] == ["bystander"]
        assert [each.name for each in self.provider().list_templates()] == ["kit"]

    def unmade(self) -> None:
        """The VM can be deleted, and then nothing of it is left."""
        patiently(lambda: self.provider().delete(self.spec.uuid))
        assert self.look() == self.nothing
        assert [each.name for each in self.provider().inspect()] == ["bystander"]
        self.dom0.xen.check()


def patiently(call: Callable[[], Any]) -> Any:
    """As the service does: what is busy is asked again, for a while."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except BusyError:
            assert time.monotonic() < end, "busy for ever"
            time.sleep(0.02)


def new_delivery() -> Delivery:
    """Another delivery than the one that a VM of the world has."""
    return delivery_of("33", conf=b"A=3\n", more=b"more\n")


__all__ = ["HURRY", "Killed", "World", "new_delivery", "patiently", "wait_for"]
