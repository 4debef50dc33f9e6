"""The workbench of the tests: orders for VMs, and their removal whatever happens.

The names are public for those who write further tests of their own provider.
"""

from __future__ import annotations

import time
from collections.abc import Callable  # noqa: TC003 - a dataclass reads it
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ims_core.models import VM, Context, Delivery, Mark, VMSpec
from ims_core.names import make_up_name
from ims_core.service.delivery import choose, deliver
from ims_core.service.macs import mac_for
from ims_core.spi import Provider, TemplateStore
from ims_core.testing.needs import left_out
from ims_core.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ims_core.models import Interface
    from ims_core.testing.target import Target

__all__ = [
    "Bench",
    "Crash",
    "CrashingUndo",
    "MeddlingUndo",
    "Order",
    "changes",
    "everything",
    "ims_bench",
    "ims_nothing_left_behind",
    "new_operation",
]

MEMORY = 64 << 20
_PAUSE = 0.2


class Crash(Exception):  # noqa: N818 - it is no error: it stands for the end of a process
    """The simulated end of the process."""


@dataclass
class CrashingUndo(Undo):
    """An undo log that ends the process at its n-th announcement.

    Attributes:
        left: How many announcements still go well.
        recorded: Whether the one at which it ends was still recorded.
    """

    left: int = 0
    recorded: bool = True

    def announce(self, kind: str, name: str) -> None:
        """Record it, or crash."""
        if self.left > 0 or self.recorded:
            super().announce(kind, name)
        if self.left == 0:
            raise Crash
        self.left -= 1


@dataclass
class MeddlingUndo(Undo):
    """An undo log that does something at its n-th announcement.

    Attributes:
        left: How many announcements come before that.
        meddle: What to do then.
    """

    left: int = 0
    meddle: Callable[[], object] = lambda: None

    def announce(self, kind: str, name: str) -> None:
        """Record it, and meddle when it is time."""
        super().announce(kind, name)
        if self.left == 0:
            self.meddle()
        self.left -= 1


@dataclass
class Order:
    """One VM, ordered and perhaps made."""

    spec: VMSpec
    delivery: Delivery
    mark: Mark
    undo: Undo = field(init=False)
    made: bool = False

    def __post_init__(self) -> None:
        """Begin an undo log of its own."""
        self.undo = Undo(self.mark.operation)

    @property
    def uuid(self) -> str:
        """The VM's."""
        return self.spec.uuid

    @property
    def name(self) -> str:
        """The VM's."""
        return self.spec.name


class Bench:
    """Makes VMs on a target, and removes them at the end of the test."""

    def __init__(self, target: Target) -> None:
        """Begin with nothing made."""
        self.target = target
        self.provider: Provider = target.provider
        self._orders: list[Order] = []
        self._cleanups: list[Callable[[], object]] = []

    # --- orders ---

    def spec(self, *, name: str = "", interfaces: Sequence[Interface] | None = None) -> VMSpec:
        """An order that ``prepare`` has not seen yet."""
        target, uuid = self.target, str(uuid4())
        cards = target.interfaces if interfaces is None else interfaces
        return VMSpec(
            name=name or make_up_name("ims-kit"),
            uuid=uuid,
            template=target.template,
            memory=target.memory or max(MEMORY, target.template.min_memory),
            vcpus=1,
            disk=target.template.virtual_size,
            interfaces=tuple(
                replace(card, mac=mac_for(uuid, index)) for index, card in enumerate(cards)
            ),
        )

    def delivery(self, spec: VMSpec, by: str = "", /, **properties: str) -> Delivery:
        """A delivery for this VM, with a fresh nonce, by a certain carrier or the preferred one."""
        features = self.provider.features
        layout, carrier = choose(features, self.target.template.layout, carrier=by)
        context = Context(
            instance_id=spec.uuid,
            hostname=spec.name,
            interfaces=spec.interfaces,
            properties=properties,
        )
        return deliver(context, layout, carrier, features)

    def order(
        self,
        spec: VMSpec | None = None,
        *,
        starts: bool = False,
        carrier: str = "",
        overlay: bytes = b"",
    ) -> Order:
        """A VM that is ready to be made; removed at the end if it is.

        Args:
            spec: A new one when None.
            starts: Whether its mark says already that the delivery is in place.
            carrier: The provider's preferred one when empty.
            overlay: The image of its second medium, if it is to have one.
        """
        spec = self.provider.prepare(spec or self.spec())
        delivery = replace(self.delivery(spec, carrier), overlay=overlay)
        mark = Mark(
            store=self.target.store_id,
            operation=new_operation(),
            vm=spec.uuid,
            template=spec.template.name,
            digest=delivery.digest,
            nonce=delivery.nonce if starts else "",
        )
        order = Order(spec, delivery, mark)
        self._orders.append(order)
        return order

    def make(self, order: Order) -> None:
        """Let the provider create an order."""
        self.provider.create(order.spec, order.delivery, order.mark, order.undo)
        order.made = True

    def created(
        self, spec: VMSpec | None = None, *, starts: bool = False, carrier: str = ""
    ) -> Order:
        """A VM that is defined."""
        order = self.order(spec, starts=starts, carrier=carrier)
        self.make(order)
        return order

    def started(self, *, carrier: str = "") -> Order:
        """A VM that runs, or a skip where none can."""
        if not self.target.expect_start:
            left_out("expect_start")
        order = self.created(starts=True, carrier=carrier)
        self.provider.start(order.uuid, order.delivery)
        return order

    def settled(self) -> Order:
        """The same, and its memory can be saved."""
        order = self.started()
        if not self.target.suspends_at_once:
            self.answered(order, order.delivery.nonce)
        return order

    def foreign(self) -> str:
        """The name of a VM that somebody else made, or a skip."""
        if self.target.make_foreign is None:
            left_out("make_foreign")
        name = make_up_name("ims-foreign")
        self.finally_(self.target.make_foreign(name))
        return name

    # --- looking ---

    def look(self, vm: str, *, evidence: bool = False) -> VM:
        """One VM; it must be there.

        Mend: in `inspect`, take names and UUIDs alike, answer with each VM once, and keep showing a
        VM until `delete` has removed it.
        """
        found = self.provider.inspect([vm], evidence=evidence)
        assert len(found) == 1, f"inspect([{vm!r}]) answers with {len(found)} VMs, not with 1"
        return found[0]

    def cpu_seconds(self, order: Order) -> float:
        """What the CPUs of a running VM have used since its start; 0 if nobody knows."""
        return next((each.cpu_seconds or 0 for each in self.provider.metrics([order.uuid])), 0)

    def listed(self, uuid: str) -> VM:
        """One VM as it is among all; it must be there.

        Mend: let `inspect()` without arguments answer with every VM, each once.
        """
        found = [vm for vm in self.provider.inspect() if vm.uuid == uuid]
        assert len(found) == 1, f"inspect() shows VM {uuid} {len(found)} times, not once"
        return found[0]

    def is_there(self, uuid: str) -> bool:
        """Whether a VM is in the hypervisor."""
        return any(vm.uuid == uuid for vm in self.provider.inspect())

    def mark(self, vm: str) -> Mark:
        """The mark of a VM; it must have one.

        Mend: keep the whole mark where the hypervisor keeps what belongs to a VM, and read it in
        `inspect`.
        """
        mark = self.look(vm).mark
        assert mark is not None, f"inspect shows VM {vm} without a mark (mark=None)"
        return mark

    def answered(self, order: Order, nonce: str) -> VM:
        """The VM once its guest has answered to this start, or a skip where guests do not.

        Mend: have the delivery of this start in place before the guest runs, and let `inspect` with
        evidence parse what the guest wrote back.
        """
        if not self.target.boots:
            left_out("boots")
        end = time.monotonic() + self.target.boot_timeout
        while True:
            vm = self.look(order.uuid, evidence=True)
            if vm.receipt is not None and vm.receipt.nonce == nonce:
                return vm
            too_late = time.monotonic() >= end
            assert not too_late, (
                f"the guest did not answer within {self.target.boot_timeout:g} s: inspect with"
                f" evidence shows no receipt with the delivery's nonce {nonce}, but {vm.receipt}"
            )
            time.sleep(_PAUSE)

    def eventually(self, what: str, happened: Callable[[], object]) -> None:
        """Watch until something has happened, for at most as long as a guest may take to boot."""
        end = time.monotonic() + self.target.boot_timeout
        while not happened():
            too_late = time.monotonic() >= end
            assert not too_late, f"did not happen within {self.target.boot_timeout:g} s: {what}"
            time.sleep(_PAUSE)

    # --- the end ---

    def roll_back(self, undo: Undo) -> None:
        """Discard all that was announced; nothing may be left.

        Mend: in `discard`, remove the resource if it carries the operation's id, return REMOVED or
        ABSENT, and raise only if it is there and cannot be removed.
        """
        left = undo.roll_back(self.provider, expired=lambda: False)
        assert not left.all, f"discard did not remove all that was announced: {'; '.join(left.all)}"

    def finally_(self, cleanup: Callable[[], object]) -> None:
        """Have this called at the end, last one first."""
        self._cleanups.append(cleanup)

    def clean(self) -> None:
        """Remove everything that was made, each whatever becomes of the others."""
        with ExitStack() as all_of_it:
            for cleanup in self._cleanups:
                all_of_it.callback(cleanup)
            for order in reversed(self._orders):
                all_of_it.callback(self._remove, order)
        self._cleanups.clear()

    def _remove(self, order: Order) -> None:
        if order.made:  # delete alone must remove all of it
            self.provider.delete(order.uuid)
        else:
            self.roll_back(order.undo)


def new_operation() -> str:
    """An operation id, as the service makes them."""
    return uuid4().hex[:16]


def everything(target: Target) -> set[str]:
    """All that is in the hypervisor, as the target lists it."""
    if target.leftovers is not None:
        return set(target.leftovers())
    found = {f"vm {vm.uuid}" for vm in target.provider.inspect()}
    if isinstance(target.provider, TemplateStore):
        found |= {f"template {template.name}" for template in target.provider.list_templates()}
    return found


def changes(target: Target, before: set[str]) -> str:
    """How the hypervisor differs now from an earlier listing, for the message of an assertion."""
    return _changes(before, everything(target))


def _changes(before: set[str], after: set[str]) -> str:
    new, gone = (", ".join(sorted(each)) or "none" for each in (after - before, before - after))
    return f"new in the hypervisor: {new}; gone from it: {gone}"


@pytest.fixture(autouse=True)
def ims_nothing_left_behind(ims_target: Target) -> Iterator[None]:
    """Compare the hypervisor before and after each test.

    Mend: let `delete` remove all that `create` and the later calls made for the VM, and nothing
    else; what stays of a VM that was never whole is removed by `discard`.
    """
    before = everything(ims_target)
    yield
    after = everything(ims_target)
    assert after == before, (
        "after `delete` of all that the test had made, the hypervisor is not as before it:"
        f" {_changes(before, after)}"
    )


@pytest.fixture
def ims_bench(ims_target: Target, ims_nothing_left_behind: None) -> Iterator[Bench]:  # noqa: ARG001
    """Makes VMs, and removes them before the hypervisor is compared."""
    bench = Bench(ims_target)
    yield bench
    bench.clean()
