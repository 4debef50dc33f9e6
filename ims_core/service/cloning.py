"""Clone: a VM of its own identity, made from the disk of another one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ims_core.errors import NotFoundError
from ims_core.service.addresses import readdressed
from ims_core.service.create import Way, create_new
from ims_core.service.lifecycle import refuse_unfinished
from ims_core.service.operations import Kind
from ims_core.service.order import Order
from ims_core.spi import Clone, TemplateStore, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.models import VM, Context, Interface, Mark, Wait
    from ims_core.service.session import Session
    from ims_core.service.waiting import Deadline

__all__ = ["clone"]


def clone(
    session: Session,
    source: str,
    name: str,
    *,
    addresses: Sequence[str],
    wait: Wait,
    deadline: Deadline,
) -> VM:
    """Make a VM from another one's disk, or leave nothing of it.

    The source is held all that time, so no other verb starts it meanwhile.
    """
    provider = require(session.provider, Clone)
    found, _ = session.find_ours(source)
    with session.hold(found.uuid, found.name, seconds=deadline.left):
        vm, mark = session.find_ours(found.uuid)
        refuse_unfinished(session, vm, mark)
        intent = session.intent_of(vm)
        order = Order(
            name=name,
            template=_template(session, vm, mark),
            memory=vm.memory or 0,
            vcpus=vm.vcpus or 1,
            context=_own(intent.context, addresses),
            layout=intent.layout,
            carrier=intent.carrier,
            wait=wait,
        )
        way = Way(Kind.CLONE, f"VM {vm.name}", partial(provider.clone, vm.uuid))
        return create_new(session, order, deadline, way=way)


def _template(session: Session, vm: VM, mark: Mark) -> str:
    """The template that the source was made from: its copy boots as it does."""
    store = require(session.provider, TemplateStore)
    if mark.template and store.find_template(mark.template) is not None:
        return mark.template
    raise NotFoundError(
        f"VM {vm.name!r} cannot be cloned: its template {mark.template!r} is gone"
        if mark.template
        else f"VM {vm.name!r} cannot be cloned: it was not made from a template",
        code="template-not-found",
        vm=vm.name,
        pool=session.pool.name,
        hint=f"`ims import-template IMAGE --name {mark.template}` brings it back"
        if mark.template
        else "clone it with the hypervisor's own tools, and `ims adopt-vm` the copy",
    )


def _own(context: Context, addresses: Sequence[str]) -> Context:
    """What the source is told, without what tells the two apart: each needs its own."""
    first, *others = context.interfaces
    return replace(
        context,
        hostname="",
        interfaces=(_card(first, addresses), *(_card(each, ()) for each in others)),
        host_keys=(),
    )


def _card(card: Interface, addresses: Sequence[str]) -> Interface:
    return replace(readdressed(card, addresses), mac="")
