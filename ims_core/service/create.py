"""Create: validate everything, make, start, wait, and mark complete as the last write.

Whatever fails on the way is undone: everything the provider announced is discarded.
"""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from ims_bootparams.validation import check_context
from ims_core.errors import ImsError, InvalidError, NotFoundError
from ims_core.models import Context, Delivery, Interface, Mark, Template, VMSpec, Wait
from ims_core.names import check_name, make_up_name
from ims_core.service.addresses import refuse_promised
from ims_core.service.delivery import check_wait, choose, deliver
from ims_core.service.events import Event, Phase
from ims_core.service.macs import chosen
from ims_core.service.waiting import Deadline, Expected, wait_for
from ims_core.spi import TemplateStore, require
from ims_core.store import Intent
from ims_core.undo import Undo

if TYPE_CHECKING:
    from ims_core.models import VM
    from ims_core.service.session import Session

__all__ = ["Order", "Prepared", "create", "prepare"]

DEFAULT_MEMORY = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller asks for; what is empty or 0 is chosen for it."""

    name: str = ""
    template: str = ""
    memory: int = 0
    vcpus: int = 1
    disk: int = 0
    context: Context = field(default_factory=Context)
    layout: str = ""
    carrier: str = ""
    wait: Wait = Wait.RUNNING


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order after validation: all that a provider needs to make the VM."""

    spec: VMSpec
    context: Context
    delivery: Delivery
    mark: Mark


def prepare(session: Session, order: Order) -> Prepared:
    """Complete and check an order. Makes nothing.

    Raises:
        InvalidError: A field that cannot be right.
        NotFoundError: No such template, layout or network.
        ConflictError: The name or an address is taken.
        UnsupportedError: The provider cannot do it.
    """
    features = session.provider.features
    template = _template(session, order.template)
    layout, carrier = choose(features, template.layout, layout=order.layout, carrier=order.carrier)
    spec = session.provider.prepare(_spec(order, template, session.pool.mac_scheme))
    refuse_promised(
        session, spec.uuid, [each for card in spec.interfaces for each in card.addresses]
    )
    context = replace(
        order.context,
        instance_id=spec.uuid,
        hostname=order.context.hostname or spec.name,
        interfaces=spec.interfaces,
        default_user=order.context.default_user or template.default_user,
    )
    check_context(context)
    check_wait(order.wait, layout, context, features)
    delivery = deliver(context, layout, carrier, features)
    mark = Mark(
        store=session.store.id,
        owner=_whoami(),
        operation=uuid4().hex[:16],
        vm=spec.uuid,
        template=template.name,
        digest=delivery.digest,
        # A VM that is started at once has this delivery in place already (spi, sentence 10).
        nonce="" if order.wait is Wait.DEFINED else delivery.nonce,
    )
    return Prepared(spec, context, delivery, mark)


def create(session: Session, order: Order, deadline: Deadline) -> VM:
    """Make a VM as ordered, or leave nothing of it.

    Raises:
        ImsError: Anything that went wrong; its details name what could not be undone.
    """
    session.tell(Event(Phase.VALIDATE, "checking the order"))
    ready = prepare(session, order)
    spec, mark = ready.spec, ready.mark
    undo = Undo(mark.operation)
    try:
        session.store.save_intent(
            Intent(
                spec.uuid,
                session.pool.name,
                spec.name,
                ready.delivery.layout,
                ready.delivery.carrier,
                ready.context,
                mark,
            )
        )
        session.tell(
            Event(Phase.CREATE, f"creating {spec.name} from template {spec.template.name}")
        )
        deadline.check("nothing was made yet")
        session.provider.create(spec, ready.delivery, mark, undo)
        if order.wait is not Wait.DEFINED:
            deadline.check(f"{spec.name} was created but not started")
            session.tell(Event(Phase.START, f"starting {spec.name}"))
            session.provider.start(spec.uuid, ready.delivery)
        expected = Expected(ready.delivery.digest, ready.delivery.nonce)
        vm = wait_for(session, spec.uuid, order.wait, expected, deadline)
        complete = replace(mark, complete=True)
        session.provider.write_mark(spec.uuid, complete)
        session.store.save_mark(complete)
    except BaseException as error:
        _undo(session, ready, undo, error)
        raise
    session.report(Event(Phase.DONE, f"{spec.name} is {order.wait}"))
    return replace(vm, mark=complete, pool=session.pool.name)


def _template(session: Session, name: str) -> Template:
    name = name or session.pool.template
    templates = {
        each.name: each for each in require(session.provider, TemplateStore).list_templates()
    }
    if not name and len(templates) == 1:
        return next(iter(templates.values()))
    if name in templates:
        return templates[name]
    pool = session.pool.name
    if not name:
        raise InvalidError(
            f"which template? pool {pool!r} has {', '.join(sorted(templates)) or 'none'}",
            code="template-missing" if templates else "no-templates",
            hint=f"give --template, or set template in [pools.{pool}]"
            if templates
            else f"`ims import-template IMAGE --name NAME --pool {pool}` brings one in",
            pool=pool,
        )
    raise NotFoundError(
        f"there is no template {name!r} in pool {pool!r}",
        code="template-not-found",
        hint=f"`ims import-template IMAGE --name {name}` brings one in;"
        f" there are: {', '.join(sorted(templates)) or 'none'}",
        pool=pool,
    )


def _spec(order: Order, template: Template, scheme: str) -> VMSpec:
    uuid = str(uuid4())
    if order.vcpus < 1:
        raise InvalidError(f"vcpus {order.vcpus} is not possible", hint="ask for at least 1")
    memory = order.memory or max(DEFAULT_MEMORY, template.min_memory)
    if memory < template.min_memory:
        raise InvalidError(
            f"memory {memory} is less than template {template.name!r} needs",
            hint=f"ask for at least {template.min_memory} bytes",
        )
    cards = order.context.interfaces or (Interface(),)
    return VMSpec(
        name=check_name("name", order.name or make_up_name()),
        uuid=uuid,
        template=template,
        memory=memory,
        vcpus=order.vcpus,
        disk=order.disk or template.virtual_size,
        interfaces=tuple(
            replace(card, mac=chosen(card, uuid, index, scheme)) for index, card in enumerate(cards)
        ),
    )


def _whoami() -> str:
    """Who runs this process, for the people who find the VM."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())  # a user without a name, as in a container
    return f"{user}@{os.uname().nodename}"


def _undo(session: Session, ready: Prepared, undo: Undo, error: BaseException) -> None:
    """Leave nothing of the VM; what must be left is named in the error."""
    session.report(Event(Phase.ROLL_BACK, f"removing what was made of {ready.spec.name}"))
    left = session.roll_back(undo)
    if not left:
        with suppress(ImsError):  # the error that is on its way matters more
            session.store.forget(ready.spec.uuid)
    if isinstance(error, ImsError):
        error.vm = error.vm or ready.spec.name
        error.pool = error.pool or session.pool.name
        error.operation = error.operation or undo.operation
        error.details += tuple(f"left behind: {each}" for each in left)
    told = f"left behind: {'; '.join(left)}" if left else "nothing was left behind"
    session.report(Event(Phase.ROLL_BACK, told, warning=bool(left)))
